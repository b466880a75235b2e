import { readFileSync } from "node:fs";
import { becomes, test, equal, ok, stage } from "./browser.mjs";

const ROLES = ["charge", "read", "operate", "finance", "audit", "admin"];
const lines = readFileSync(new URL("matrix.txt", import.meta.url), "utf8").split("\n").filter((line) => line && !line.startsWith("#"));
const table = lines.map((line) => {
  const [method, path, ...cells] = line.split(/\s+/);
  return { method, path, cells, pattern: new RegExp(`^${path.replaceAll(".", "\\.").replace(/\{\w+\}/g, "[^/]+")}$`) };
});
const values = { "{id}": "globex", "{account}": "globex", "{payment}": "top-up", "{document}": "INV-000001", "{form}": "pdf", "{what}": "stop", "{name}": "boss", "{kind}": "key", "{link}": "AAAAAAAAAAAAAAAAAAAAAA", "{language}": "en" };
const address = (path) => path.replace(/\{\w+\}/g, (name) => values[name]);
/** The row of a link or a form: what names it with the fewest blanks. */
const row = (method, path) => table.filter((one) => one.method === method && one.pattern.test(path)).toSorted((a, b) => a.path.split("{").length - b.path.split("{").length)[0];

/** Statuses that say that somebody was let through: what was asked for, where it leads to, or what is wrong with what was sent. */
const LET_THROUGH = [200, 303, 400, 404, 409, 422];
/** Of what may come of a request, what is right for a user who is let through, or is not. */
const isRight = (answer, isLetThrough) => {
  if (!isLetThrough) return answer.status() === 403;
  return LET_THROUGH.includes(answer.status()) && !/^\/sign-in/.test(answer.headers().location ?? "");
};

test("the table of permissions has every route", {}, async () => {
  equal(table.map(({ method, path }) => `${method} ${path}`).toSorted(), stage.routes.toSorted());
});

for (const [index, role] of ROLES.entries()) {
  test(`a user of the role ${role} may do what the table says, and is shown no way to anything else`, { user: `role-${role}`, at: "quiet" }, async (page, context) => {
    await page.goto("/you");
    const token = await page.locator("[name=token]").first().inputValue();
    for (const { method, path, cells } of table) {
      // The stream of events goes on for a minute.
      if (path === "/overview/live" && cells[index] === "Y") continue;
      const options = method === "GET" ? { maxRedirects: 0 } : { form: { token }, headers: { origin: stage.urls.quiet }, maxRedirects: 0 };
      let answer;
      // A store that is busy says nothing of permissions; one that is away fails the test.
      await becomes(async () => (answer = await context.request[method.toLowerCase()](address(path), options)).status() === 503, false);
      ok(isRight(answer, cells[index] === "Y"), `${method} ${path}, ${cells[index]}: ${answer.status()}`);
    }
    const pages = ["/you", "/finance/organizations/globex", "/finance/organizations/hooli", "/finance/organizations/hooli/notes", "/finance/organizations/hooli/tax", "/finance/payments", "/finance/payments/globex/top-up", "/invoices", "/invoices/INV-000001", "/invoices/mails", "/settings/issuer", "/settings/tax", "/settings/items", "/settings/issuing", "/settings/sending", "/settings/mail-templates", "/settings/mail-templates/invoice/en", "/settings/approvals", "/settings/retention", "/finance/approvals", "/settings/users", "/settings/users/boss", "/settings/keys"];
    for (const path of pages.filter((path) => path === "/you" || row("GET", path).cells[index] === "Y")) {
      await page.goto(path);
      const ways = await page.evaluate(() => [
        ...[...document.querySelectorAll("a[href^='/']")].map((link) => `GET ${new URL(link.href).pathname}`),
        ...[...document.forms].map((form) => `${(form.getAttribute("method") ?? "get").toUpperCase()} ${new URL(form.getAttribute("action"), location).pathname}`),
      ]);
      ok(ways.length > 3, `${path} leads somewhere`);
      for (const way of new Set(ways)) {
        const found = row(...way.split(" "));
        ok(!found || found.cells[index] === "Y", `${path} leads to ${way}, which is refused`);
      }
    }
  });
}
