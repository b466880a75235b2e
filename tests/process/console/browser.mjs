// What the tests of the console have in common: one Chromium, a context for each test, and what was visited.
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";

const require = createRequire(`${process.env.NODE_MODULES}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/** The stage that the Rust test has set: URLs, stores, ids. */
export const stage = JSON.parse(process.env.STAGE);

/** How many tests run side by side: browsers on slow machines do not like more. */
const AT_ONCE = 3;

const tests = [];
const visited = new Set();
const states = new Map();
/** The names by which pages were looked at. */
export const looks = new Set();
let browser;

/** A test. `options` are a context's; `user` says who has signed in, `at` on which of the consoles. */
export function test(name, options, run) {
  tests.push({ name, options, run });
}

/** Fails unless both are equal, as JSON has them. */
export function equal(found, expected, what = "") {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: ${a} is not ${b}`);
}

/** Fails unless it is so. */
export function ok(is, what) {
  if (!is) throw new Error(what);
}

/** Waits until what is asked for is as expected. */
export async function becomes(ask, expected) {
  for (const deadline = Date.now() + 60_000; ; ) {
    const found = JSON.stringify(await ask());
    if (found === JSON.stringify(expected)) return;
    if (Date.now() > deadline) throw new Error(`${found} never becomes ${JSON.stringify(expected)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Waits until an act is on record, which is written behind its page. */
export async function recorded(page, action, text) {
  await becomes(async () => {
    await page.goto(`/settings/audit?action=${action}`);
    return (await page.getByText(text).count()) > 0;
  }, true);
}

/** A context, in which a user has signed in if one is named. */
async function context({ user, at = "main", ...options }) {
  const own = { locale: "en-GB", timezoneId: "UTC", viewport: { width: 1280, height: 860 }, baseURL: stage.urls[at], ...options };
  if (user) own.storageState = await signedIn(user, at);
  const made = await browser.newContext(own);
  made.setDefaultTimeout(60_000);
  made.on("request", (request) => visited.add(`${request.method()} ${new URL(request.url()).pathname}`));
  // Requests that no page makes count too.
  for (const [method, send] of [["get", made.request.get], ["post", made.request.post]]) {
    made.request[method] = (path, options) => {
      visited.add(`${method.toUpperCase()} ${new URL(path, own.baseURL).pathname}`);
      return send.call(made.request, path, options);
    };
  }
  return made;
}

/** What the browser keeps of a user who has signed in. */
function signedIn(user, at) {
  if (!states.has(`${at} ${user}`)) states.set(`${at} ${user}`, signIn(user, at));
  return states.get(`${at} ${user}`);
}

/** A new link that signs a user in, once. It works for 15 minutes, and all tests may take longer, so that it is made when it is used. */
export async function linkOf(user, at = "main") {
  if (stage.links[at]) return stage.links[at][user];
  const name = stage.names[at]?.[user] ?? user;
  const words = ["user", "link", name, "--store", stage.stores[at], "--console-url", stage.urls[at]];
  return (await promisify(execFile)(stage.binary, words, { env: {} })).stdout.trim();
}

/** Signs a user in; all tests of the user share the session. */
async function signIn(user, at) {
  const made = await browser.newContext({ baseURL: stage.urls[at], locale: "en-GB" });
  made.setDefaultTimeout(60_000);
  const page = await made.newPage();
  await page.goto(await linkOf(user, at));
  await page.getByRole("button", { name: "Sign in by this link" }).click();
  for (const method of ["GET", "POST"]) visited.add(`${method} /sign-in/link/secret`);
  await page.getByRole("button", { name: "Sign out", exact: true }).waitFor();
  const state = await made.storageState();
  await made.close();
  return state;
}

/** Fails if axe finds anything on the page. */
export async function accessible(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const { violations } = await window.axe.run(document, { runOnly: tags });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`);
  });
  equal(found, [], `${page.url()} is not accessible`);
  // What is too wide for the window can only be read by scrolling sideways (WCAG 1.4.10).
  const excess = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  ok(excess <= 0, `${page.url()} is ${excess} pixels too wide`);
}

/** Keeps a picture of a page if a folder is named. */
export async function pictured(page, name) {
  const folder = process.env.TOLLGATE_SCREENSHOTS;
  if (folder) await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}

/** Looks at a page in light, dark and at a phone's width, and keeps pictures if a folder is named. */
export async function looked(page, name) {
  looks.add(name);
  for (const [scheme, width] of [["light", 1280], ["dark", 1280], ["light", 375], ["dark", 375]]) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await page.setViewportSize({ width, height: 860 });
    await accessible(page);
    await pictured(page, `${name}-${scheme}-${width}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1280, height: 860 });
}

/** Runs all tests, and asks what they have left out; prints what came of them, and what was visited. */
export async function run(missing) {
  const chosen = process.env.ONLY ? tests.filter(({ name }) => new RegExp(process.env.ONLY).test(name)) : tests;
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
  // Links that were made before are used first.
  for (const { options } of chosen) if (options.user && stage.links[options.at]) await signedIn(options.user, options.at);
  const failed = [];
  const waiting = [...chosen];
  const worker = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const began = Date.now();
      const made = await context(next.options);
      const page = await made.newPage();
      const errors = [];
      page.on("pageerror", (error) => errors.push(`${error}`));
      page.on("console", (message) => message.type() === "error" && !/status of (4|5)\d\d|^htmx:(sendAbort|afterRequest),/.test(message.text()) && errors.push(message.text()));
      try {
        await next.run(page, made);
        equal(errors, [], "the browser complains");
      } catch (error) {
        failed.push(`${next.name}: ${error.stack ?? error}\n  at ${page.url()}`);
        console.error(failed.at(-1));
      }
      await made.close().catch(() => {});
      console.error(`${next.name} (${Date.now() - began} ms)`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  await browser.close();
  if (!process.env.ONLY) failed.push(...missing());
  console.log(JSON.stringify({ failed, count: chosen.length, visited: [...visited] }));
}
