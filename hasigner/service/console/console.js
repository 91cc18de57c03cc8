// The console of `ha-signer serve`. It reads, and operates for clients that may. Texts of rows come from other programs: they become text nodes, never markup.
// A browser names the origin with a script of type "module", as it does for other pages: so this is none.
"use strict";

const kSlots = 32; // columns
const kValidatorsOfPage = 100;
const kRowsOfRead = 1000; // the most that the service gives
const kReads = 8; // of one look at the window
const kProblemsKept = 1000;
const kEventsOfDuty = 50;
const kSilenceMs = 40_000; // the stream says something every 15 s
const kKeyName = "ha-signer-console";
const kNodeColours = 8;

const kTypes = [
  ["BLOCK_PROPOSAL", "P", "block proposal"],
  ["CHECKPOINT_PROPOSAL", "C", "checkpoint proposal"],
  ["ATTESTATION", "A", "attestation"],
  ["ATTESTATIONS_AND_SIGNERS", "S", "attestations and signers"],
  ["GOVERNANCE_VOTE", "G", "governance vote"],
  ["SLASHING_VOTE", "V", "slashing vote"],
];
const kProblemNames = {
  duty_already_signed: "refused: signed already",
  slashing_protection: "refused: other data is signed",
  outside_watermark: "refused: outside the watermarks",
  signing_lock_lost: "taken away from this node",
  in_doubt: "in doubt: the store did not confirm",
};
/** Marks of a cell, the gravest first: symbol, class, meaning. */
const kMarks = {
  refused: ["✕", "refused", "refused: other data is signed"],
  watermark: ["⊘", "watermark", "refused: outside the watermarks"],
  doubt: ["?", "doubt", "in doubt"],
  over: ["⇄", "over", "taken over"],
};

const $ = (id) => document.getElementById(id);

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// ---- what is known

const state = {
  session: null,
  clockAheadMs: 0, // of the service's clock before this one
  rows: new Map(), // of the window, by the name of the duty
  signing: [], // rows that are signing, of any slot
  problems: new Map(),
  seen: new Map(), // events of a duty since the page was opened
  nodes: [],
  watermarks: [],
  ready: null,
  service: null, // what operators have asked for; null for a client that may not operate
  keys: [],
  numbers: new Map(), // of nodes
  toSlot: null, // the newest slot of the window; null: the newest of all
  hasOlder: false,
  isCut: false, // a slot has more rows than one read gives
  isLoaded: false,
  filter: "",
  page: 0,
  active: { row: 0, column: 0 },
  open: null, // the cell whose story is shown
};

const isSlot = (text) => /^[0-9]{1,19}$/.test(text);
const nameOf = (duty) =>
  [duty.rollup, duty.validator, duty.slot, duty.dutyType, String(duty.blockIndexWithinCheckpoint)].join("|").toLowerCase();
const problemName = (problem) => [nameOf(problem.duty), problem.kind, problem.client, problem.attemptedMessageHash].join("|");
const cellOf = (duty) => `${duty.validator.toLowerCase()}|${duty.slot}`;
const bySlotDown = (a, b) => (BigInt(a) < BigInt(b) ? 1 : BigInt(a) > BigInt(b) ? -1 : 0);
const short = (text) => (text.length > 14 ? `${text.slice(0, 6)}…${text.slice(-4)}` : text);
const shortHash = (text) => (text.length > 24 ? `${text.slice(0, 12)}…${text.slice(-8)}` : text);
const counted = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
const now = () => Date.now() + state.clockAheadMs;
const millisecondsOf = (time) => (time ? Date.parse(time) : NaN);
const typeOf = (name) => kTypes.find(([type]) => type === name) ?? [name, "·", name];

function ageText(time) {
  const seconds = Math.max(0, Math.round((now() - millisecondsOf(time)) / 1000));
  if (Number.isNaN(seconds)) return time ?? "unknown";
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}
/** `12:03:04.123`, with the date where it is another day. */
function clockText(time) {
  const milliseconds = millisecondsOf(time);
  if (Number.isNaN(milliseconds)) return time ?? "";
  const text = new Date(milliseconds).toISOString();
  return text.slice(0, 10) === new Date(now()).toISOString().slice(0, 10) ? text.slice(11, 23) : text.slice(0, 19).replace("T", " ");
}

function numberOf(nodeId) {
  if (!state.numbers.has(nodeId)) state.numbers.set(nodeId, state.numbers.size + 1);
  return state.numbers.get(nodeId);
}
function chip(nodeId, isSigning = false) {
  const number = numberOf(nodeId);
  return make("span", { class: `chip n${(number - 1) % kNodeColours}${isSigning ? " signing" : ""}`, title: nodeId }, String(number));
}
function mark(name) {
  const [symbol, style, meaning] = kMarks[name];
  return make("span", { class: `mark ${style}`, title: meaning }, symbol);
}

/** A row that is *signing* for longer than an attempt lasts. */
const isOverdue = (duty) =>
  duty.status === "signing" && now() - millisecondsOf(duty.startedAt) > (state.session?.attemptTimeoutMs ?? Infinity);
const isRegistered = (nodeId) => state.nodes.some((node) => node.nodeId === nodeId);
/** Only the tokens of registered nodes say it. */
const wasTakenOver = (duty) =>
  (duty.takenOver && isRegistered(duty.nodeId)) ||
  (state.seen.get(nameOf(duty)) ?? []).some(({ change }) => change === "taken over" || change === "replaced");

function markOfProblem(problem) {
  return { slashing_protection: "refused", outside_watermark: "watermark", in_doubt: "doubt", signing_lock_lost: "over" }[problem.kind];
}

// ---- the service

let key = null;
function keepKey(value) {
  key = value;
  try {
    if (value) localStorage.setItem(kKeyName, value);
    else localStorage.removeItem(kKeyName);
  } catch {} // a browser without storage asks for the token again
}
try {
  key = localStorage.getItem(kKeyName);
} catch {}

class Refusal extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

async function refusalOf(response) {
  const problem = await response.json().catch(() => null);
  return new Refusal(response.status, problem?.detail ?? `the service answered ${response.status}`);
}
const ownHeaders = () => (key ? { "X-HA-Signer-Console": key } : {});
async function ask(path, options = {}) {
  const response = await fetch(path, {
    ...options,
    headers: { ...ownHeaders(), ...options.headers },
    cache: "no-store",
    signal: AbortSignal.timeout(15_000),
  });
  // A service that is not ready says so with 503, and why.
  if (!response.ok && !(path === "readyz" && response.status === 503)) throw await refusalOf(response);
  return response.json();
}

async function readWindow() {
  const rows = new Map();
  const slots = new Set();
  let toSlot = state.toSlot;
  let isCut = false;
  let isWhole = false;
  for (let read = 0; read < kReads && !isWhole; read++) {
    const { duties } = await ask(`api/v1/duties?limit=${kRowsOfRead}${toSlot === null ? "" : `&toSlot=${toSlot}`}`);
    for (const duty of duties) {
      if (!isSlot(duty.slot)) continue;
      rows.set(nameOf(duty), duty);
      slots.add(duty.slot);
    }
    isWhole = duties.length < kRowsOfRead || slots.size > kSlots;
    if (isWhole) break;
    // The last slot may have more rows. If it is all that came, it is shown cut.
    const last = duties.at(-1).slot;
    const isStuck = last === (toSlot ?? duties[0].slot) && duties[0].slot === last;
    isCut ||= isStuck;
    if (isStuck && BigInt(last) === 0n) break;
    toSlot = isStuck ? String(BigInt(last) - 1n) : last;
  }
  return { rows, isCut, hasOlder: !isWhole || slots.size > kSlots };
}

let loading = null;
let during = []; // events that came while the window was read: what was read may be older than they are

async function loadAll() {
  loading ??= load().finally(() => (loading = null));
  await loading;
}
/** Reads what is there from now on: a reading under way may have begun before. */
async function loadAnew() {
  while (loading) await loading.catch(() => {});
  if (state.session) await loadAll();
}
async function load() {
  during = [];
  try {
    await readSession();
    if (!state.session) return;
    // Few at a time: a client may have eight reads in flight, in all its pages.
    await readRegistry();
    await readSlowly();
    const [window, problems] = await Promise.all([readWindow(), ask(`api/v1/problems?limit=${kProblemsKept}`)]);
    if (!state.session) return;
    state.rows = window.rows;
    // Numbers in the order of names, as far as they are not given yet.
    for (const nodeId of [...new Set([...window.rows.values()].map((duty) => duty.nodeId))].sort()) numberOf(nodeId);
    state.isCut = window.isCut;
    state.hasOlder = window.hasOlder;
    state.problems = new Map(problems.problems.reverse().map((problem) => [problemName(problem), problem]));
    for (const apply of during) apply();
    state.isLoaded = true;
    notice("");
    if (isWatching) setLive("good", "Live");
  } catch (error) {
    if (!state.session) throw error;
    fail(error);
  }
  render();
}
async function readRegistry() {
  // First what is told without the store, too.
  state.ready = await ask("readyz");
  state.nodes = (await ask("api/v1/nodes")).nodes;
  for (const { nodeId } of state.nodes) numberOf(nodeId);
  await readAdministration();
}
async function readAdministration() {
  if (!state.session?.operates) return;
  const [service, { keys }] = await Promise.all([ask("api/v1/service"), ask("api/v1/keys")]);
  Object.assign(state, { service, keys });
}
async function readSlowly() {
  const [signing, marks] = await Promise.all([ask(`api/v1/duties?status=signing&limit=${kRowsOfRead}`), ask("api/v1/watermarks")]);
  state.signing = signing.duties;
  state.watermarks = marks.watermarks;
}
async function readSession() {
  const asked = Date.now();
  const session = await ask("console/session");
  if (!session.known) {
    showLogin(state.session ? "The session has ended. Log in again." : "");
    return;
  }
  state.clockAheadMs = Date.parse(session.time) - (asked + Date.now()) / 2;
  state.session = session;
}

function fail(error) {
  if (error instanceof Refusal && error.status === 401) return showLogin("The session has ended. Log in again.");
  notice(`Not read at ${clockText(new Date(now()).toISOString())} UTC: ${error.message}. What is shown may be old.`);
  setLive("bad", "Not live", error.message);
}
function notice(text) {
  $("notice").hidden = text === "";
  $("notice").textContent = text;
}

// ---- events

let following = null; // ends the stream
let isWatching = false; // the stream tells of every change

function applyDuty({ change, duty }) {
  if (!isSlot(duty.slot)) return;
  const name = nameOf(duty);
  const isNew = !state.rows.has(name);
  if (change === "removed") state.rows.delete(name);
  else if (state.toSlot === null || !isNew) state.rows.set(name, duty);
  state.signing = state.signing.filter((row) => nameOf(row) !== name);
  if (change !== "removed" && duty.status === "signing") state.signing.push(duty);
}
function applyProblem(problem) {
  const name = problemName(problem);
  state.problems.delete(name);
  state.problems.set(name, problem);
  if (state.problems.size > kProblemsKept) state.problems.delete(state.problems.keys().next().value);
}
function take(event, text) {
  if (event === "watching") {
    isWatching = true;
    loadAnew();
    return;
  }
  if (event !== "duty" && event !== "problem") return;
  const value = JSON.parse(text);
  const apply = event === "duty" ? () => applyDuty(value) : () => applyProblem(value);
  if (event === "duty") {
    const name = nameOf(value.duty);
    const events = state.seen.get(name) ?? [];
    state.seen.delete(name);
    state.seen.set(name, [...events.slice(1 - kEventsOfDuty), { at: new Date(now()).toISOString(), change: value.change, nodeId: value.duty.nodeId }]);
    if (state.seen.size > 5_000) state.seen.delete(state.seen.keys().next().value);
  }
  if (loading) during.push(apply);
  apply();
  fresh.add(cellOf(value.duty));
  render();
}

/** Reads server-sent events. EventSource cannot send the header of the session. */
async function readStream(response, heard) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    heard();
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const field = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      if (field("event")) take(field("event"), field("data"));
    }
  }
}
async function follow(signal) {
  let pauseMs = 1_000;
  while (!signal.aborted) {
    const stream = new AbortController();
    const stop = () => stream.abort();
    signal.addEventListener("abort", stop);
    let silence = setTimeout(stop, kSilenceMs);
    let why = "the stream of events ended";
    try {
      const response = await fetch("api/v1/events", { headers: ownHeaders(), cache: "no-store", signal: stream.signal });
      if (!response.ok) throw await refusalOf(response);
      setLive("wait", "Connecting…");
      await readStream(response, () => {
        pauseMs = 1_000;
        clearTimeout(silence);
        silence = setTimeout(stop, kSilenceMs);
      });
    } catch (error) {
      why = error.message;
      if (error instanceof Refusal && error.status === 401 && !signal.aborted) fail(error);
    }
    isWatching = false;
    clearTimeout(silence);
    signal.removeEventListener("abort", stop);
    if (signal.aborted) return;
    setLive("bad", "Not live", why);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    pauseMs = Math.min(pauseMs * 2, 10_000);
  }
}
function setLive(style, text, why = "") {
  if (style === "bad" && $("live").className === "badge bad") return; // since it began
  $("live").className = `badge ${style}`;
  $("live").textContent = style === "bad" ? `${text} since ${clockText(new Date(now()).toISOString()).slice(0, 8)}` : text;
  $("live").title = why;
}

let ticks = 0;
async function tick() {
  if (!state.session || document.hidden) return;
  ticks += 1;
  if (ticks % 12 === 0) return loadAll();
  try {
    await readRegistry();
    if (ticks % 4 === 0) {
      await readSession();
      if (state.session) await readSlowly();
    }
    if (!$("notice").hidden) await loadAll();
  } catch (error) {
    fail(error);
  }
  render();
}

// ---- drawing

const fresh = new Set(); // cells to be shown as changed
let isDrawing = false;
function render() {
  if (isDrawing || !state.session) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    if (state.session) draw();
  });
}

function draw() {
  const { session } = state;
  $("node").textContent = session.nodeId;
  document.title = `${session.nodeId} · ha-signer console`;
  $("who").textContent = session.clientsFile
    ? `${session.client}${session.validators === null ? "" : ` · ${counted(session.validators, "validator")} only`}`
    : "every caller may read: no clients file";
  $("logout").hidden = !session.clientsFile || !key;
  $("about").textContent = `ha-signer ${session.version} · chain ${session.chainId} · rollup ${session.rollup} · times are UTC, by the clocks of the store and the service`;
  drawReady();
  drawNodes();
  drawDoubts();
  drawProblems();
  drawGrid();
  drawWatermarks();
  drawAdministration();
  if (state.open && $("story").open) drawStory();
}

const item = (head, ...lines) => make("li", {}, make("div", { class: "head" }, ...head), ...lines);
const line = (text, style = "muted small") => make("span", { class: style }, text);

function drawReady() {
  const ready = state.ready;
  $("ready").className = `badge ${ready?.ready ? "good" : "bad"}`;
  $("ready").textContent = ready ? (ready.ready ? "Ready" : "Not ready") : "Readiness unknown";
  const names = { store: "the store answers", replication: "standbys confirm", nodeId: "the node id is this process's", accepting: "accepts requests", journal: "what is released is written down here, too", health: "the health check of the node passes" };
  const items = (ready?.checks ?? []).map((check) =>
    item(
      [make("span", {}, check.name), make("span", { class: `state ${check.ok ? "good" : "bad"}` }, check.ok ? "✓ well" : "✕ fails")],
      line(check.ok ? (names[check.name] ?? "") : check.reason, check.ok ? "muted small" : "bad small"),
    ),
  );
  const replication = ready?.replication;
  if (replication) {
    const standbys = replication.byStorage
      ? "the storage below the server replicates"
      : `a commit waits for ${counted(replication.needed, "standby")}${replication.connected === undefined ? "" : `; connected: ${replication.connected}`}`;
    items.push(item([make("span", {}, "replicates")], line(standbys + (replication.synchronousStandbys ? `; ${replication.synchronousStandbys}` : ""))));
  }
  replaceList($("checks"), items);
}

function drawNodes() {
  const registered = new Set(state.nodes.map(({ nodeId }) => nodeId));
  const others = [...state.numbers.keys()].filter((nodeId) => !registered.has(nodeId));
  const items = state.nodes.map((node) =>
    item(
      [
        chip(node.nodeId),
        make("span", {}, node.nodeId),
        node.nodeId === state.session.nodeId && line("this one"),
        make("span", { class: `state ${node.alive ? "good" : "wait"}` }, node.alive ? "● lease runs" : "○ no lease"),
      ],
      line(`heartbeat ${ageText(node.heartbeatAt)} ago · incarnation ${node.incarnation.slice(0, 8)}${node.earlierIncarnations > 0 ? ` · ${counted(node.earlierIncarnations, "earlier one")}` : ""}`),
    ),
  );
  for (const nodeId of others) {
    items.push(item([chip(nodeId), make("span", {}, nodeId)], line("not in the registry: of the published package, or removed")));
  }
  if (items.length === 0) items.push(make("li", { class: "muted" }, "No node is registered."));
  replaceList($("nodes"), items);
}

function storyLink(duty) {
  return make("button", { type: "button", class: "link", onclick: (event) => openStory(duty.validator, duty.slot, event.currentTarget) },
    `slot ${duty.slot} · ${typeOf(duty.dutyType)[2]}`);
}

/** Leaves alone what is the same, so that a click or a selection is not lost. Keeps the focus in a list that is drawn anew. */
function replaceList(list, items) {
  if (items.length === list.childNodes.length && items.every((item, i) => item.isEqualNode(list.childNodes[i]))) return;
  const index = [...list.querySelectorAll("button")].indexOf(document.activeElement);
  list.replaceChildren(...items);
  if (index >= 0) [...list.querySelectorAll("button")].at(Math.min(index, list.querySelectorAll("button").length - 1))?.focus();
}

function drawDoubts() {
  const overdue = state.signing.filter(isOverdue).sort((a, b) => bySlotDown(a.slot, b.slot));
  const underWay = state.signing.length - overdue.length;
  const items = overdue.slice(0, 50).map((duty) =>
    item(
      [mark("doubt"), storyLink(duty)],
      line(`${short(duty.validator)} · signing by ${duty.nodeId} for ${ageText(duty.startedAt)}`),
    ),
  );
  if (overdue.length > 50) items.push(make("li", { class: "muted" }, `… and ${overdue.length - 50} more`));
  if (overdue.length === 0) items.push(make("li", { class: "muted" }, "No row is signing for longer than an attempt lasts."));
  if (underWay > 0) items.push(make("li", { class: "muted small" }, `${underWay} being signed now`));
  $("doubts-section").classList.toggle("bad-section", overdue.length > 0);
  replaceList($("doubts"), items);
}

function drawProblems() {
  const wanted = [...state.problems.values()].reverse().filter((problem) => problem.kind !== "duty_already_signed");
  const items = wanted.slice(0, 20).map((problem) =>
    item(
      [mark(markOfProblem(problem) ?? "refused"), storyLink(problem.duty)],
      line(kProblemNames[problem.kind] ?? problem.kind, "small"),
      line(`${short(problem.duty.validator)} · ${problem.client} · ${ageText(problem.lastAt)} ago${problem.count > 1 ? ` · ${problem.count} times` : ""}`),
    ),
  );
  if (wanted.length > 20) items.push(make("li", { class: "muted" }, `… and ${wanted.length - 20} more`));
  if (wanted.length === 0) items.push(make("li", { class: "muted" }, "Nothing since this service started. Each service shows its own refusals."));
  replaceList($("problems"), items);
}

function drawWatermarks() {
  const wanted = state.watermarks.filter((entry) => entry.validator === "every" || entry.validator.toLowerCase().includes(state.filter));
  if (wanted.length === 0) {
    return replaceList($("watermarks"), [make("p", { class: "empty" }, state.watermarks.length ? "No watermark fits the filter." : "No watermark is set: every slot may be signed.")]);
  }
  const rows = wanted.slice(0, kValidatorsOfPage).map((entry) =>
    make("tr", {},
      make("th", { scope: "row", class: "mono", title: entry.validator }, short(entry.validator)),
      make("td", {}, typeOf(entry.dutyType)[2]),
      make("td", { class: "number" }, entry.low ?? "none"),
      make("td", { class: "number" }, entry.high ?? "none"),
      make("td", {}, clockText(entry.updatedAt)),
    ),
  );
  const heads = [["validator"], ["duty"], ["none at or below", "number"], ["none above", "number"], ["set at"]];
  const table = make("table", {},
    make("thead", {}, make("tr", {}, ...heads.map(([text, style]) => make("th", { scope: "col", class: style ?? "" }, text)))),
    make("tbody", {}, ...rows));
  const rest = wanted.length > rows.length ? [make("p", { class: "empty" }, `${rows.length} of ${wanted.length}: filter for others.`)] : [];
  replaceList($("watermarks"), [table, ...rest]);
}

// ---- the grid

let shape = { slots: [], validators: [], cells: new Map() };

function shapeOf() {
  const cells = new Map();
  const of = (duty) => {
    const name = cellOf(duty);
    if (!cells.has(name)) cells.set(name, { validator: duty.validator.toLowerCase(), slot: duty.slot, duties: [], problems: [] });
    return cells.get(name);
  };
  for (const duty of state.rows.values()) of(duty).duties.push(duty);
  const upTo = state.toSlot === null ? null : BigInt(state.toSlot);
  for (const problem of state.problems.values()) {
    if (upTo === null || BigInt(problem.duty.slot) <= upTo) of(problem.duty).problems.push(problem);
  }
  const all = [...new Set([...cells.values()].map(({ slot }) => slot))].sort(bySlotDown);
  const slots = all.slice(0, kSlots);
  const shown = new Set(slots);
  const validators = [...new Set([...cells.values()].filter(({ slot }) => shown.has(slot)).map(({ validator }) => validator))].sort();
  return { slots, validators, cells, hasOlder: state.hasOlder || all.length > kSlots };
}

function marksOf(cell) {
  const found = new Set(cell.problems.map(markOfProblem));
  if (cell.duties.some(isOverdue)) found.add("doubt");
  if (cell.duties.some(wasTakenOver)) found.add("over");
  return Object.keys(kMarks).filter((name) => found.has(name));
}

function labelOf(cell) {
  const duties = cell.duties.map((duty) => `${typeOf(duty.dutyType)[2]} ${duty.status} by ${duty.nodeId}`);
  const marks = marksOf(cell).map((name) => kMarks[name][2]);
  return [`slot ${cell.slot}, validator ${cell.validator}`, ...duties, ...marks].join("; ");
}

function fillCell(element, cell) {
  const nodes = new Map(); // node → whether all its rows are signing
  for (const duty of cell.duties) {
    const isSigning = duty.status !== "signed";
    nodes.set(duty.nodeId, (nodes.get(duty.nodeId) ?? true) && isSigning);
  }
  const chips = [...nodes].sort(([a], [b]) => numberOf(a) - numberOf(b)).slice(0, 3).map(([nodeId, isSigning]) => chip(nodeId, isSigning));
  if (nodes.size > 3) chips.push(make("span", {}, "+"));
  const types = kTypes.flatMap(([type, letter]) => {
    const count = cell.duties.filter((duty) => duty.dutyType === type).length;
    return count === 0 ? [] : [letter + (count > 1 ? count : "")];
  });
  element.replaceChildren(
    make("span", { class: "line" }, ...chips, ...marksOf(cell).map(mark)),
    make("span", { class: "types" }, types.join(" ")));
  element.setAttribute("aria-label", labelOf(cell));
}

let drawn = { layout: "", contents: new Map() }; // what the table shows

/** Makes the rows and columns. */
function layOut(first) {
  const grid = $("grid");
  const isGap = (column) => column > 0 && BigInt(shape.slots[column - 1]) - BigInt(shape.slots[column]) > 1n;
  const gapOf = (column) => (isGap(column) ? "gap" : "");
  const head = make("tr", { role: "row" }, make("th", { role: "columnheader", scope: "col" }, "validator"),
    ...shape.slots.map((slot, column) =>
      make("th", { role: "columnheader", scope: "col", class: gapOf(column), title: isGap(column) ? "slots without duties lie between" : null }, slot)));
  const rows = shape.shown.map((validator, row) =>
    make("tr", { role: "row", "aria-rowindex": first + row + 2 },
      make("th", { role: "rowheader", scope: "row", title: validator }, short(validator)),
      ...shape.slots.map((slot, column) =>
        make("td", { role: "gridcell", tabindex: "-1", class: gapOf(column), "data-row": row, "data-column": column,
          "aria-label": `slot ${slot}, validator ${validator}; no duty` }))));
  grid.tHead.replaceChildren(head);
  grid.tBodies[0].replaceChildren(...rows);
}
/** Draws the cells whose content is not what the table shows. */
function fillCells() {
  for (const [row, validator] of shape.shown.entries()) {
    for (const [column, slot] of shape.slots.entries()) {
      const name = `${validator}|${slot}`;
      const cell = shape.cells.get(name);
      const element = elementOf({ row, column });
      element.classList.toggle("open", state.open === name);
      element.classList.toggle("fresh", fresh.has(name));
      const content = cell && JSON.stringify([cell.duties.map((duty) => [nameOf(duty), duty.status, duty.nodeId]), marksOf(cell)]);
      if (drawn.contents.get(name) === content) continue;
      drawn.contents.set(name, content);
      element.classList.toggle("full", cell !== undefined);
      if (cell) fillCell(element, cell);
      else element.replaceChildren();
    }
  }
}

function drawGrid() {
  const grid = $("grid");
  const before = shape.slots[0];
  const hadFocus = grid.contains(document.activeElement);
  const activeName = cellName(state.active);
  shape = shapeOf();
  const wanted = shape.validators.filter((validator) => validator.includes(state.filter));
  const pages = Math.max(1, Math.ceil(wanted.length / kValidatorsOfPage));
  state.page = Math.min(state.page, pages - 1);
  const first = state.page * kValidatorsOfPage;
  shape.shown = wanted.slice(first, first + kValidatorsOfPage);

  const layout = JSON.stringify([shape.slots, shape.shown, first]);
  if (layout !== drawn.layout) {
    drawn = { layout, contents: new Map() };
    layOut(first);
  }
  fillCells();
  fresh.clear();
  grid.setAttribute("aria-rowcount", wanted.length + 1);
  grid.setAttribute("aria-colcount", shape.slots.length + 1);
  grid.hidden = shape.shown.length === 0;

  // The cell that had the focus keeps it wherever it is now.
  const kept = activeName && positionOf(activeName);
  if (kept) state.active = kept;
  state.active.row = Math.max(0, Math.min(state.active.row, shape.shown.length - 1));
  state.active.column = Math.max(0, Math.min(state.active.column, shape.slots.length - 1));
  const active = elementOf(state.active);
  active?.setAttribute("tabindex", "0");
  if (hadFocus) active?.focus({ preventScroll: true });
  const scroller = $("scroller");
  const moved = before === undefined ? 0 : shape.slots.indexOf(before);
  if (moved > 0 && scroller.scrollLeft > 0) scroller.scrollLeft += moved * (grid.tHead.rows[0].cells[1]?.offsetWidth ?? 0);

  $("empty").hidden = shape.shown.length > 0;
  $("empty").textContent = !state.isLoaded ? "Reading the duties…"
    : shape.validators.length ? "No validator fits the filter."
    : state.toSlot === null ? "No duty has been claimed yet. The first one appears here within a second." : "There are no older duties.";
  $("older").disabled = !shape.hasOlder;
  $("newest").disabled = state.toSlot === null;
  $("pages").hidden = pages === 1;
  $("previous-page").disabled = state.page === 0;
  $("next-page").disabled = state.page === pages - 1;
  drawNote(wanted.length, first);
  drawLegend();
}

function drawNote(count, first) {
  const active = document.activeElement?.closest?.("#grid td");
  const parts = [];
  if (active) parts.push(cellText(state.active));
  else if (count > 0) {
    parts.push(`${count > kValidatorsOfPage ? `validators ${first + 1} to ${first + shape.shown.length} of ${count}` : counted(count, "validator")}, ${counted(shape.slots.length, "slot")}`);
    if (state.toSlot !== null) parts.push("older slots: not live");
    if (state.isCut) parts.push("a slot has more duties than are shown");
  }
  $("cell-note").textContent = parts.join(" · ");
}
function cellText(position) {
  const name = cellName(position);
  const cell = name && shape.cells.get(name);
  return name ? `slot ${shape.slots[position.column]} · ${shape.shown[position.row]} · ${counted(cell ? cell.duties.length : 0, "duty", "duties")}` : "";
}

function drawLegend() {
  const entries = [...state.numbers.keys()].slice(0, 2 * kNodeColours).map((nodeId) => make("li", {}, chip(nodeId), make("span", {}, nodeId)));
  entries.push(make("li", {}, make("span", { class: "chip signing" }, "n"), make("span", {}, "being signed")));
  for (const name of Object.keys(kMarks)) entries.push(make("li", {}, mark(name), make("span", {}, kMarks[name][2])));
  replaceList($("legend"), entries);
}

const elementOf = ({ row, column }) => $("grid").tBodies[0].rows[row]?.cells[column + 1];
const cellName = ({ row, column }) =>
  shape.shown?.[row] === undefined || shape.slots[column] === undefined ? null : `${shape.shown[row]}|${shape.slots[column]}`;
function positionOf(name) {
  const [validator, slot] = name.split("|");
  const position = { row: shape.shown.indexOf(validator), column: shape.slots.indexOf(slot) };
  return position.row < 0 || position.column < 0 ? null : position;
}

function moveTo(row, column) {
  const target = {
    row: Math.max(0, Math.min(row, shape.shown.length - 1)),
    column: Math.max(0, Math.min(column, shape.slots.length - 1)),
  };
  elementOf(state.active)?.setAttribute("tabindex", "-1");
  state.active = target;
  const element = elementOf(target);
  if (!element) return;
  element.setAttribute("tabindex", "0");
  element.focus({ preventScroll: true });
  reveal(element);
}
/** Scrolls the cell out from under the fixed heads. */
function reveal(element) {
  const scroller = $("scroller");
  const head = $("grid").tHead.rows[0].cells[0].getBoundingClientRect();
  const box = element.getBoundingClientRect();
  const view = scroller.getBoundingClientRect();
  if (box.left < view.left + head.width) scroller.scrollLeft -= view.left + head.width - box.left;
  else if (box.right > view.left + scroller.clientWidth) scroller.scrollLeft += box.right - view.left - scroller.clientWidth;
  if (box.top < view.top + head.height) scroller.scrollTop -= view.top + head.height - box.top;
  else if (box.bottom > view.top + scroller.clientHeight) scroller.scrollTop += box.bottom - view.top - scroller.clientHeight;
  scroller.scrollIntoView({ block: "nearest" });
}

$("grid").addEventListener("keydown", (event) => {
  const { row, column } = state.active;
  const ends = event.ctrlKey || event.metaKey;
  const moves = {
    ArrowLeft: [row, column - 1],
    ArrowRight: [row, column + 1],
    ArrowUp: [row - 1, column],
    ArrowDown: [row + 1, column],
    Home: [ends ? 0 : row, 0],
    End: [ends ? shape.shown.length - 1 : row, shape.slots.length - 1],
    PageUp: [row - 10, column],
    PageDown: [row + 10, column],
  };
  if (event.altKey || event.shiftKey || !event.target.closest("td")) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    openCell(state.active);
  } else if (moves[event.key]) {
    event.preventDefault();
    moveTo(...moves[event.key]);
  }
});
const positionOfElement = (element) => ({ row: Number(element.dataset.row), column: Number(element.dataset.column) });
$("grid").addEventListener("click", (event) => {
  const element = event.target.closest("td");
  if (!element) return;
  const position = positionOfElement(element);
  moveTo(position.row, position.column);
  openCell(position);
});
$("grid").addEventListener("focusin", (event) => {
  const element = event.target.closest("td");
  if (!element) return;
  const position = positionOfElement(element);
  if (position.row !== state.active.row || position.column !== state.active.column) {
    elementOf(state.active)?.setAttribute("tabindex", "-1");
    element.setAttribute("tabindex", "0");
    state.active = position;
  }
  $("cell-note").textContent = cellText(position);
});
$("grid").addEventListener("focusout", render);

// ---- the story of a cell

let told = null; // the rows of the open cell, read for it
let opener = null; // the link that opened the story; null: the active cell
let storyShown = "";

function openCell(position) {
  const name = cellName(position);
  if (name && shape.cells.has(name)) openStory(shape.shown[position.row], shape.slots[position.column], null);
}
async function openStory(validator, slot, from) {
  state.open = `${validator.toLowerCase()}|${slot}`;
  opener = from && { element: from, list: from.closest("ul"), text: from.closest("li").textContent };
  told = null;
  drawStory();
  if (!$("story").open) $("story").showModal();
  $("story").scrollTop = 0;
  const name = state.open;
  try {
    const [rows, problems] = await Promise.all([
      ask(`api/v1/duties?validator=${validator}&slot=${slot}&limit=${kRowsOfRead}`),
      ask(`api/v1/problems?validator=${validator}&slot=${slot}&limit=${kRowsOfRead}`)]);
    if (state.open !== name) return;
    told = { rows: rows.duties, problems: problems.problems };
  } catch (error) {
    fail(error);
  }
  render();
}
$("story-close").addEventListener("click", () => $("story").close());
$("story").addEventListener("click", (event) => {
  if (event.target === $("story")) $("story").close();
});
$("story").addEventListener("close", () => {
  state.open = null;
  // The list may have been drawn anew meanwhile.
  const again = opener && [...opener.list.querySelectorAll("button")].find((link) => link.closest("li").textContent === opener.text);
  (opener?.element.isConnected ? opener.element : (again ?? elementOf(state.active)))?.focus({ preventScroll: true });
  render();
});

function storyRows() {
  const [validator, slot] = state.open.split("|");
  const merged = new Map();
  const isOfCell = (duty) => cellOf(duty) === state.open;
  for (const duty of told?.rows ?? []) merged.set(nameOf(duty), duty);
  // The stream is newer than what was read when the story was opened.
  for (const duty of state.rows.values()) if (isOfCell(duty)) merged.set(nameOf(duty), duty);
  const problems = new Map();
  for (const problem of told?.problems ?? []) problems.set(problemName(problem), problem);
  for (const problem of state.problems.values()) if (isOfCell(problem.duty)) problems.set(problemName(problem), problem);
  const names = new Map();
  for (const duty of merged.values()) names.set(nameOf(duty), { duty, row: duty, problems: [] });
  for (const problem of problems.values()) {
    const name = nameOf(problem.duty);
    if (!names.has(name)) names.set(name, { duty: problem.duty, row: null, problems: [] });
    names.get(name).problems.push(problem);
  }
  const rank = ({ duty }) => kTypes.findIndex(([type]) => type === duty.dutyType) * 1000 + Number(duty.blockIndexWithinCheckpoint);
  return { validator, slot, duties: [...names.values()].sort((a, b) => rank(a) - rank(b)) };
}

function happenings({ duty, row, problems }) {
  const list = [];
  const seen = state.seen.get(nameOf(duty)) ?? [];
  const wasSeen = (change) => seen.some((event) => event.change === change && event.nodeId === row?.nodeId);
  if (row) {
    const isOver = (row.takenOver && isRegistered(row.nodeId)) || wasSeen("taken over");
    const how = isOver ? "taken over, with the same data" : wasSeen("replaced") ? "replaced" : "claimed";
    list.push({ at: row.startedAt, text: how, nodeId: row.nodeId, mark: how === "claimed" ? null : "over" });
    if (row.completedAt) list.push({ at: row.completedAt, text: "signed: the store has confirmed it", nodeId: row.nodeId });
    if (isOverdue(row)) {
      const end = new Date(millisecondsOf(row.startedAt) + state.session.attemptTimeoutMs).toISOString();
      list.push({ at: end, text: "in doubt: the attempt should have ended by now", mark: "doubt" });
    }
  }
  for (const event of seen) {
    const isTold = row && (event.change === "signed" ? row.completedAt : event.change !== "removed" && event.nodeId === row.nodeId);
    if (!isTold) list.push({ at: event.at, text: `${event.change} (seen by this page)`, nodeId: event.nodeId, mark: ["taken over", "replaced"].includes(event.change) ? "over" : null });
  }
  for (const problem of problems) {
    const hash = problem.attemptedMessageHash ? ` (asked for ${shortHash(problem.attemptedMessageHash)})` : "";
    list.push({
      at: problem.firstAt,
      text: `${kProblemNames[problem.kind] ?? problem.kind}${hash}, for client ${problem.client}`,
      more: problem.count > 1 ? `${problem.count} times, last at ${clockText(problem.lastAt)}. ${problem.detail}` : problem.detail,
      mark: markOfProblem(problem),
    });
  }
  return list.sort((a, b) => (millisecondsOf(a.at) || 0) - (millisecondsOf(b.at) || 0));
}

function drawStory() {
  const { validator, slot, duties } = storyRows();
  const content = JSON.stringify([state.open, told === null, duties, duties.map(happenings)]);
  if (content === storyShown) return;
  storyShown = content;
  $("story-title").textContent = `Slot ${slot}`;
  const articles = duties.map((entry) => {
    const { duty, row } = entry;
    const index = Number(duty.blockIndexWithinCheckpoint);
    const facts = [];
    const fact = (name, value, style = "") => value && facts.push(make("dt", {}, name), make("dd", { class: style }, value));
    if (row) {
      const took = millisecondsOf(row.completedAt) - millisecondsOf(row.startedAt);
      fact("node", row.nodeId);
      fact("message hash", row.messageHash, "mono");
      fact("signature", row.signature ? shortHash(row.signature) : null, "mono");
      fact("took", Number.isNaN(took) ? null : took === 0 ? "claimed and recorded in one step" : `${took} ms from claim to record`);
      fact("block", row.blockNumber !== "0" ? row.blockNumber : null);
      fact("checkpoint", row.checkpointNumber && row.checkpointNumber !== "0" ? row.checkpointNumber : null);
      fact("lock", wasTakenOver(row) ? "taken over with the same data: the row is never replaced" : null);
      fact("expires", row.expiresAt);
    }
    const list = happenings(entry).map((one) =>
      make("li", {}, make("time", {}, clockText(one.at)),
        make("span", {}, one.nodeId ? chip(one.nodeId) : "", one.nodeId ? " " : "", one.mark ? mark(one.mark) : "", one.mark ? " " : "", one.text, one.nodeId ? ` · ${one.nodeId}` : ""),
        one.more ? make("p", { class: "muted small" }, one.more) : null));
    const status = row ? make("span", { class: row.status === "signed" ? "good" : "wait" }, row.status) : make("span", { class: "bad" }, "no row");
    return make("article", {},
      make("h3", {}, row ? chip(row.nodeId, row.status !== "signed") : "", `${typeOf(duty.dutyType)[2]}${index >= 0 ? ` ${index}` : ""}`, status),
      make("dl", {}, ...facts),
      make("h4", {}, "What happened"), make("ol", {}, ...list));
  });
  if (articles.length === 0) articles.push(make("p", { class: "muted" }, told ? "The rows of this cell are gone." : "Reading…"));
  $("story-body").replaceChildren(
    make("dl", {}, make("dt", {}, "validator"), make("dd", { class: "mono" }, validator)),
    make("p", { class: "muted small note" }, `Rows are of all nodes; refusals are those of ${state.session.nodeId} since it started.`),
    ...articles);
}

// ---- administration

const kChoose = ["", "choose…"]; // nothing is preselected: what is forbidden stays so
const kWhom = { all: "all validators of this service", every: "every validator of the rollup, also those to come" };
const option = ([value, text]) => make("option", { value }, text);

function drawAdministration() {
  const { session, service } = state;
  $("admin-section").hidden = !session.operates || !service;
  if ($("admin-section").hidden) return;
  $("admin-state").textContent = service.drained
    ? `Drained since ${clockText(service.drained.since)} by ${service.drained.by}; ${counted(service.attemptsInFlight, "attempt")} in flight.`
    : "Signs what it is asked for.";
  $("admin-state").className = service.drained ? "small wait" : "small";
  $("drain").textContent = service.drained ? "Undrain" : "Drain";
  const { last, running } = service.reload;
  $("admin-reload").textContent = running ? "A reload is running." : last
    ? `Last reload ${clockText(last.endedAt)} by ${last.by}: ${last.succeeded ? "" : "failed: "}${last.what}` : "Not reloaded since the start.";
  const keys = state.keys.filter(({ address }) => address.includes(state.filter)).slice(0, kValidatorsOfPage);
  replaceList($("keys"), keys.map((one) => item(
    [make("span", { class: "mono", title: one.address }, short(one.address)),
      make("span", { class: `state ${one.enabled ? "good" : "bad"}` }, one.enabled ? "✓ enabled" : "✕ disabled"),
      make("button", { type: "button", "data-address": one.address, "data-enabled": String(one.enabled),
        "aria-label": `${one.enabled ? "Disable" : "Enable"} the key ${one.address}` }, one.enabled ? "Disable" : "Enable")],
    one.enabled ? null : line(`by ${one.changedBy}, ${clockText(one.changedAt)}`))));
  const options = keys.filter(({ attester }) => attester).map(({ address }) => [address, short(address)]);
  replaceList($("watermark-validator"), [kChoose, ["all", "all of this service"], ["every", "all, also to come"], ...options].map(option));
}

let confirmed = null; // what is done if the person says yes

/** Asks first. The focus is on the answer that changes nothing, and goes back to where it was. */
function confirmFirst(title, text, yes, act) {
  const opener = document.activeElement;
  const label = opener.getAttribute("aria-label");
  $("confirm-title").textContent = title;
  $("confirm-text").textContent = text;
  $("confirm-yes").textContent = yes;
  confirmed = act;
  $("confirm").showModal();
  $("confirm-no").focus();
  // The list may have been drawn anew meanwhile, and the button have another text.
  $("confirm").addEventListener("close", () => {
    const again = label && [...$("keys").querySelectorAll("button")].find((one) => one.getAttribute("aria-label") === label);
    (opener.isConnected ? opener : again)?.focus({ preventScroll: true });
  }, { once: true });
}
$("confirm-no").addEventListener("click", () => $("confirm").close());
$("confirm-yes").addEventListener("click", async () => {
  const act = confirmed;
  $("confirm").close();
  $("admin-note").className = "small";
  $("admin-note").textContent = "Asking…";
  try {
    $("admin-note").textContent = await act();
  } catch (error) {
    $("admin-note").className = "small bad";
    $("admin-note").textContent = `Not done: ${error.message}`;
    if (error.status === 401) fail(error);
  }
  await readAdministration().catch(fail);
  render();
});
const post = (path, body) => ask(path, { method: "POST", ...(body && { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }) });

$("drain").addEventListener("click", () => {
  if (state.service.drained) {
    return confirmFirst(`Let ${state.session.nodeId} sign again?`, "It takes requests again.", "Undrain", async () => (await post("api/v1/undrain"), "It signs again."));
  }
  confirmFirst(`Drain ${state.session.nodeId}?`, "It ends what is in flight, and refuses everything new until it is undrained or restarted. Other nodes sign meanwhile.",
    "Drain", async () => (await post("api/v1/drain"), "It is drained."));
});
$("reload").addEventListener("click", () =>
  confirmFirst(`Reload ${state.session.nodeId}?`, "It loads keystore files, clients and certificates again: all of them or, when one is wrong, none.", "Reload",
    async () => `Reloaded: ${(await post("reload")).reloaded}.`));
$("keys").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { address, enabled } = button.dataset;
  if (enabled === "true") {
    return confirmFirst("Disable this key?", `${address}: no service that shares the database signs with it until it is enabled. Its duties are missed meanwhile.`, "Disable",
      async () => (await post("api/v1/keys/disable", { address }), `${short(address)} is disabled.`));
  }
  confirmFirst("Enable this key?", `${address}: services sign with it again.`, "Enable",
    async () => (await post("api/v1/keys/enable", { address }), `${short(address)} is enabled.`));
});
$("watermark-type").append(...[kChoose, ["all", "all"], ...kTypes.map(([type, , text]) => [type, text])].map(option));
$("watermark-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const wish = { validator: $("watermark-validator").value, dutyType: $("watermark-type").value, low: $("watermark-low").value };
  const whom = kWhom[wish.validator] ?? wish.validator;
  confirmFirst("Forbid these slots for good?", `${whom}, ${typeOf(wish.dutyType)[2]}: nothing at or below slot ${wish.low} is signed any more, by any node. Only the owner of the database can take it back.`,
    "Forbid", async () => {
      const { watermarks } = await post("api/v1/watermarks", wish);
      const applied = watermarks.filter((one) => one.applied).length;
      await readSlowly();
      return applied === watermarks.length ? `${counted(applied, "watermark")} set.` : `${applied} of ${watermarks.length} set; the others forbid more already.`;
    });
});

// ---- controls

$("filter").addEventListener("input", () => {
  state.filter = $("filter").value.trim().toLowerCase();
  state.page = 0;
  render();
});
$("older").addEventListener("click", () => {
  state.toSlot = String(BigInt(shape.slots.at(-1)) - 1n);
  loadAnew();
});
$("newest").addEventListener("click", () => {
  state.toSlot = null;
  loadAnew();
});
$("previous-page").addEventListener("click", () => {
  state.page -= 1;
  render();
});
$("next-page").addEventListener("click", () => {
  state.page += 1;
  render();
});

// ---- log in, log out

function showLogin(why) {
  following?.abort();
  following = null;
  state.session = null;
  state.isLoaded = false;
  state.seen.clear();
  for (const name of ["rows", "problems"]) state[name] = new Map();
  for (const name of ["signing", "nodes", "watermarks", "keys"]) state[name] = [];
  state.service = null;
  $("admin-note").textContent = "";
  for (const name of ["story", "confirm"]) if ($(name).open) $(name).close();
  $("app").hidden = true;
  $("login").hidden = false;
  $("login-error").textContent = why;
  document.title = "ha-signer console";
  $("token").focus();
}
async function enter() {
  await loadAll();
  if (!state.session) return;
  $("login").hidden = true;
  $("app").hidden = false;
  followWhileSeen();
}
/** A browser has few connections to a host, and each stream takes one: a page in the background gives it back. */
function followWhileSeen() {
  following?.abort();
  following = null;
  if (document.hidden) return setLive("wait", "Paused");
  setLive("wait", "Connecting…");
  following = new AbortController();
  follow(following.signal);
}
$("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = $("token").value.trim();
  $("login-error").textContent = "";
  try {
    const { key: given } = await ask("console/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } });
    keepKey(given);
    $("token").value = "";
    await enter();
  } catch (error) {
    $("login-error").textContent = error.status === 401 ? "No client has this token." : `Not logged in: ${error.message}`;
    $("token").select();
  }
});
$("logout").addEventListener("click", async () => {
  following?.abort();
  try {
    await ask("console/logout", { method: "POST" });
  } catch {} // a session that is gone needs no end
  keepKey(null);
  showLogin("");
});

$("app").hidden = true;
setLive("wait", "Connecting…");
setInterval(tick, 5_000);
document.addEventListener("visibilitychange", () => state.session && followWhileSeen());
enter().catch((error) => showLogin(`The service does not answer: ${error.message}`));
