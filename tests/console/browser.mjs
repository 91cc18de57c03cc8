// A headless Chromium that does what standard input says: one JSON command a line, one JSON answer a line.
// node browser.mjs CHROMIUM
import { createInterface } from "node:readline";
import puppeteer from "puppeteer-core";

const browser = await puppeteer.launch({
  executablePath: process.argv[2],
  headless: true,
  // Root has no sandbox, and /dev/shm may be small.
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--font-render-hinting=none"],
});
let context = null;
let page = null;
let complaints = [];

async function freshPage() {
  await context?.close();
  context = await browser.createBrowserContext();
  page = await context.newPage();
  complaints = [];
  page.on("console", (message) => {
    if (["error", "warn"].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`exception: ${error.message}`));
  page.on("request", (request) => {
    if (!/^(http:\/\/127\.0\.0\.1:|https:\/\/127\.0\.0\.1:|about:)/.test(request.url())) complaints.push(`request: ${request.url()}`);
  });
}

const commands = {
  fresh: freshPage,
  open: ({ url }) => page.goto(url, { waitUntil: "load" }).then(() => null),
  evaluate: ({ script }) => page.evaluate(script),
  press: ({ key }) => page.keyboard.press(key),
  chord: async ({ held, key }) => {
    await page.keyboard.down(held);
    await page.keyboard.press(key);
    await page.keyboard.up(held);
  },
  type: ({ text }) => page.keyboard.type(text),
  click: ({ selector }) => page.click(selector),
  hover: ({ selector }) => page.hover(selector),
  size: ({ width, height }) => page.setViewport({ width, height, deviceScaleFactor: 1 }),
  prefer: ({ features }) => page.emulateMediaFeatures(features),
  picture: ({ path, whole }) => page.screenshot({ path, fullPage: whole }).then(() => null),
  cookies: () => context.cookies(),
  complaints: () => complaints.splice(0),
};

await freshPage();
for await (const text of createInterface({ input: process.stdin })) {
  const command = JSON.parse(text);
  let answer;
  try {
    answer = { result: (await commands[command.do](command)) ?? null };
  } catch (error) {
    answer = { error: String(error?.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
