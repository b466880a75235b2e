// Each page of the console in each of its states: full, empty, and with an error. A page that is not in the table fails, and so does a
// state that no test has looked at. `looked` holds each state against axe in light, dark and at a phone's width. A state is opened here, or
// has been looked at by a test, which names it; a text says why there is no such state.
// Each page also in German, at a desk and on a phone.
import { test, accessible, equal, looked, looks, pictured, stage } from "./browser.mjs";

/** A test has looked at it by this name. */
const seen = (name) => ({ seen: name });
/** It is opened here. */
const open = (path, user = "main admin") => ({ path, user });
/** It is opened here, and its form is sent with nothing filled in. */
const sent = (path, button, user = "main admin") => ({ path, user, button });

const ORGANIZATION = "/finance/organizations/org-30";
const SECRET = "what the form is about is in its address, and refused by its own page";
const ACTS = ["top-up", "record-payment", "set-limit", "withdraw", "adjust", "write-off", "suspend", "resume", "close", "reopen", "refund", "release"];
const PAYMENT_ACTS = ["allocate", "take-off", "set-free", "reverse"];
const of = (names, page) => Object.fromEntries(names.map((name) => page(name)));

/** The pages. */
export const TABLE = {
  "GET /sign-in": { full: seen("sign-in"), error: seen("sign-in-wrong") },
  "GET /sign-in/link/{secret}": { full: seen("sign-in-link"), error: SECRET },
  "GET /sign-in/code": { full: seen("sign-in-code"), error: seen("sign-in-code-wrong") },
  "GET /you/second-factor": { full: seen("second-factor-on"), empty: seen("second-factor-off"), error: seen("second-factor-wrong") },
  "GET /you": { full: seen("you"), error: seen("you-wrong") },
  "GET /overview": { full: seen("overview"), empty: open("/overview", "unbilled admin") },
  "GET /settings/audit": { full: seen("audit"), empty: open("/settings/audit?actor=nobody-of-this-name") },
  "GET /settings/issuer": { full: seen("settings-issuer"), empty: seen("settings-issuer"), error: seen("settings-issuer-wrong") },
  "GET /settings/tax": { full: seen("settings-tax"), empty: open("/settings/tax", "office admin"), error: seen("settings-tax-wrong") },
  "GET /settings/items": { full: seen("settings-items"), empty: seen("settings-items-empty"), error: sent("/settings/items", "Save") },
  "GET /settings/issuing": { full: seen("settings-issuing-read"), error: seen("settings-issuing-wrong") },
  "GET /settings/sending": { full: seen("settings-sending"), error: seen("settings-sending-wrong") },
  "GET /settings/mail-templates": { full: seen("mail-templates"), empty: "it has a row for each kind of mail" },
  "GET /settings/mail-templates/{kind}/{language}": { full: seen("mail-template"), empty: seen("mail-template-wrong"), error: seen("mail-template-wrong") },
  "GET /settings/approvals": { full: seen("settings-approvals"), error: seen("settings-approvals-wrong") },
  "GET /settings/retention": { full: seen("settings-retention"), empty: "it has a row for each term, set or not" },
  "GET /settings/users": { full: seen("settings-users"), empty: "who looks is in it", error: seen("settings-users-wrong") },
  "GET /settings/users/{name}": { full: seen("settings-user"), error: sent("/settings/users/boss", "Save", "quiet admin") },
  "GET /settings/keys": { full: seen("settings-keys"), empty: seen("settings-keys-empty"), error: seen("settings-keys-wrong") },
  "GET /settings/keys/{kind}": { full: seen("settings-key"), error: SECRET },
  "GET /finance/organizations": { full: seen("organizations"), empty: seen("organizations-none") },
  "GET /finance/receivables": { full: seen("receivables"), empty: seen("receivables-none"), error: seen("receivables-wrong") },
  "GET /finance/payments": { full: seen("payments"), empty: seen("payments-none") },
  "GET /finance/payments/import": { full: seen("bank"), error: sent("/finance/payments/import", "Read") },
  ...of(PAYMENT_ACTS, (act) => [`GET /finance/payments/{account}/{payment}/${act}`, { full: open(`/finance/payments/globex/top-up/${act}`, "quiet admin"), error: sent(`/finance/payments/globex/top-up/${act}`, "Submit", "quiet admin") }]),
  "GET /finance/payments/{account}/{payment}": { full: seen("payment"), empty: open("/finance/payments/globex/top-up", "quiet admin") },
  "GET /finance/approvals": { full: seen("approvals"), empty: seen("approvals-none") },
  "GET /finance/approvals/{id}": { full: seen("approval-waiting"), error: seen("approval-wrong") },
  "GET /invoices": { full: seen("invoices"), empty: seen("invoices-none"), error: seen("invoices-wrong") },
  "GET /invoices/mails": { full: seen("mails"), empty: open("/invoices/mails?state=bounced", "office admin") },
  "GET /invoices/mails/{id}": { full: seen("mail-unknown"), error: SECRET },
  "GET /invoices/{document}/send": { full: open("/invoices/INV-000001/send", "office admin"), error: seen("send-refused") },
  "GET /invoices/{document}/credit": { full: seen("credit"), empty: open("/invoices/INV-000001/credit", "quiet admin"), error: sent("/invoices/INV-000002/credit", "Make credit notes", "quiet admin") },
  "GET /invoices/{document}": { full: seen("invoice"), empty: "a document has its contents", error: seen("links-wrong") },
  "GET /finance/conversions": { full: seen("bulk"), empty: open("/finance/conversions"), error: sent("/finance/conversions", "Look first") },
  "GET /finance/conversions/{id}": { full: seen("bulk-done"), empty: "it has what was chosen" },
  "GET /finance/guideline": { full: seen("guideline") },
  "GET /finance/organizations/{id}": { full: seen("organization"), empty: seen("organization-empty") },
  "GET /finance/organizations/{id}/notes": { full: seen("notes"), empty: seen("notes-empty"), error: seen("notes-wrong") },
  "GET /finance/organizations/{id}/transactions": { full: seen("transactions"), empty: open(`${ORGANIZATION}/transactions?from=2099-01-01`) },
  "GET /finance/organizations/{id}/details": { full: open(`${ORGANIZATION}/details`), error: seen("details-wrong") },
  "GET /finance/organizations/{id}/tax": { full: seen("treatment"), empty: seen("treatment-none"), error: seen("treatment-wrong") },
  "GET /finance/organizations/{id}/sending": { full: open(`${ORGANIZATION}/sending`), error: seen("sending-wrong") },
  "GET /finance/organizations/{id}/convert": { full: seen("convert-to-postpaid"), error: seen("convert-needs-limit-de") },
  ...of(ACTS, (act) => [`GET /finance/organizations/{id}/${act}`, { full: open(`${ORGANIZATION}/${act}`), error: sent(`${ORGANIZATION}/${act}`, "Submit") }]),
};

/** What is sent to the browser to be kept, or to be shown in a frame, and is no page. */
const isFile = (route) => /\.csv$|\/statement$|\/\{form\}$|\/live$|\/preview$/.test(route);
/** The pages that need no permission. */
const BEFORE = ["GET /sign-in", "GET /sign-in/link/{secret}", "GET /sign-in/code", "GET /you/second-factor", "GET /you"];
const pages = () => [...BEFORE, ...stage.routes.filter((route) => route.startsWith("GET ") && !isFile(route))];

for (const [route, states] of Object.entries(TABLE)) {
  for (const [state, how] of Object.entries(states)) {
    if (!how.path) continue;
    const [at, user] = how.user.split(" ");
    test(`${route} is accessible, ${state}`, { user, at }, async (page) => {
      await page.goto(how.path);
      if (how.button) {
        await page.evaluate(() => [...document.forms].forEach((form) => (form.noValidate = true)));
        await page.getByRole("button", { name: how.button, exact: true }).first().click();
        await page.getByRole("alert").first().waitFor();
      }
      await page.getByRole("heading", { level: 1 }).waitFor();
      const name = route.replace(/^GET \//, "").replace(/\W+/g, "-");
      await looked(page, `${name}-${state}`);
    });
  }
}

/** What the table lacks, or nobody has looked at. */
export function missingStates() {
  const missing = [];
  for (const route of pages()) if (!TABLE[route]) missing.push(`${route} is not in the table of states`);
  for (const [route, states] of Object.entries(TABLE)) {
    if (!pages().includes(route)) missing.push(`${route} is no page`);
    if (!states.full) missing.push(`${route} has no state in which it is full`);
    for (const [state, how] of Object.entries(states)) {
      if (how.seen && !looks.has(how.seen)) missing.push(`${route}: nobody has looked at it ${state}`);
    }
  }
  return missing;
}

const values = { "{id}": "globex", "{account}": "globex", "{payment}": "top-up", "{document}": "INV-000001", "{name}": "boss" };

test("each page speaks German, at a desk and on a phone", { user: "boss", at: "quiet", locale: "de-DE" }, async (page) => {
  let count = 0;
  for (const route of pages().filter((route) => !/\{secret\}|\{kind\}|sign-in|(mails|approvals|conversions)\/\{id\}/.test(route))) {
    const answer = await page.goto(route.slice(4).replace(/\{\w+\}/g, (name) => values[name]));
    equal([answer.status(), await page.locator("html").getAttribute("lang")], [200, "de"], route);
    for (const width of [1280, 375]) {
      await page.setViewportSize({ width, height: 860 });
      await accessible(page);
      await pictured(page, `de-${route.slice(5).replace(/\W+/g, "-")}-${width}`);
    }
    count += 1;
  }
  equal(count > 45, true, `${count} pages`);
});
