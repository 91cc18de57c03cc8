// Which release of the Aztec node this package is installed in, and the version of the shared tables that it demands.
//
// Nothing here knows the npm scope of the node: it is the name of the folder beside which this package stands, or what the
// packages there call themselves.

import { existsSync, readFileSync, readdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const kVariable = 'HA_SIGNER_SCHEMA_VERSION';
const kSigner = 'validator-ha-signer';
/** Packages of every release, which are versioned as one. The first that is found speaks for the release. */
const kMarkers = ['stdlib', 'validator-client', 'aztec', 'node-keystore', 'foundation'];

const kOwnFolder = realpathSync(fileURLToPath(new URL('..', import.meta.url)));

function manifestOf(folder) {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  } catch {
    return undefined;
  }
}

function textOf(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function isOwn(folder) {
  try {
    return realpathSync(folder) === kOwnFolder;
  } catch {
    return false;
  }
}

/** Folders that hold the node's packages, nearest first: scopes in node_modules, and the workspaces of a release image. */
function* homes(start) {
  for (let folder = start; ; folder = dirname(folder)) {
    const modules = join(folder, 'node_modules');
    const scopes = existsSync(modules) ? readdirSync(modules).filter(name => name.startsWith('@aztec')) : [];
    for (const scope of scopes.sort()) yield join(modules, scope);
    yield folder;
    if (dirname(folder) === folder) return;
  }
}

/** The names of markers in a folder of packages; in a scope every package is one. */
function markersIn(home) {
  if (!basename(home).startsWith('@')) return kMarkers;
  return [...kMarkers, ...readdirSync(home).sort()].filter(name => name !== kSigner);
}

/** The first of the named packages in a folder of packages, by its own name; never this package. */
function packageIn(home, names) {
  for (const name of names) {
    const folder = join(home, name);
    const manifest = manifestOf(folder);
    if (/^@[^/]+\/(.*)$/.exec(manifest?.name ?? '')?.[1] === name && !isOwn(folder)) return { home, folder, manifest };
  }
  return undefined;
}

/** Its own schema, in the words of the published package's file. */
function versionOfSigner(folder) {
  const found = /\bSCHEMA_VERSION = (\d+)/.exec(textOf(join(folder, 'dest/db/schema.js')));
  return found ? Number(found[1]) : undefined;
}

function versionOfRelease({ folder, manifest }) {
  const major = Number(/^(\d+)\./.exec(manifest.version)?.[1]);
  if (major >= 1 && major <= 4) return { version: 1, sign: 'is a release up to 4.x' };
  if (major === 5) return { version: 2, sign: 'is a release 5.x' };
  // Workspaces of an image have no release in their version, and releases from 6 on differ among themselves.
  const settings = join(folder, '../stdlib/dest/ha-signing/config.js');
  if (!existsSync(settings))
    return major >= 6
      ? { version: 3, sign: 'is a release from 6 on' }
      : { version: 1, sign: 'has no settings of HA signing of its own, as up to 4.x' };
  return /slashing window/.test(textOf(settings))
    ? { version: 3, sign: 'keeps duties for a slashing window' }
    : { version: 2, sign: 'has settings of HA signing, and keeps no deadline for duties' };
}

const described = ({ folder, manifest }) => `${manifest.name} ${manifest.version} in ${folder}`;

function releaseOfSigner(signer) {
  const version = versionOfSigner(signer.folder);
  return version && { scope: signer.home, version, reason: `${described(signer)} demands it` };
}

function releaseOfMarker(marker) {
  const { version, sign } = versionOfRelease(marker);
  return { scope: marker.home, version, reason: `${described(marker)} ${sign}` };
}

/** The release's own signer says it best, however far up it stands. */
function releaseAround(start) {
  const all = [...homes(start)];
  const first = namesIn => all.map(home => packageIn(home, namesIn(home))).find(found => found);
  const [signer, marker] = [first(() => [kSigner]), first(markersIn)];
  return (signer && releaseOfSigner(signer)) ?? (marker && releaseOfMarker(marker));
}

/** Where to look: beside this package, and beside the program that runs. */
function starts() {
  const program = process.argv[1];
  const found = [dirname(kOwnFolder)];
  // Installed by a link, this package is elsewhere.
  for (const folder of [program && dirname(program), process.cwd()]) {
    try {
      if (folder) found.push(realpathSync(folder));
    } catch {
      // It does not exist.
    }
  }
  return found;
}

let known;

/** `{scope, version, reason}` of the installed release; scope, the folder of its packages, is undefined if none was found. */
export function installedRelease() {
  known ??= findRelease();
  return known;
}

function findRelease() {
  for (const start of starts()) {
    const release = releaseAround(start);
    if (release) return release;
  }
  return {
    scope: undefined,
    version: 1,
    reason: `no package of an Aztec node was found beside ${kOwnFolder}; nodes up to 4.x demand it`,
  };
}

/** The version that was told, by `to` or by the variable, or else that of the installed release: `{version, reason}`. */
export function demandedVersion(to) {
  const told = to ?? (process.env[kVariable] || undefined);
  if (told === undefined) {
    const { version, reason } = installedRelease();
    return { version, reason };
  }
  const name = to === undefined ? kVariable : 'to';
  const version = Number(told);
  if (![1, 2, 3].includes(version)) throw new Error(`${name} is ${told}; it must be 1, 2 or 3`);
  return { version, reason: `${name} says so` };
}

/** Imports a module of the installed release, e.g. `kv-store`, `./lmdb-v2`. */
export async function importOfNode(name, entry) {
  const { scope } = installedRelease();
  const folder = scope && join(scope, name);
  const target = folder && manifestOf(folder)?.exports?.[entry];
  const path = typeof target === 'string' ? target : (target?.import ?? target?.default);
  if (!path) throw new Error(`The package ${name} of the Aztec node is not installed beside this package`);
  return import(pathToFileURL(join(folder, path)).href);
}
