import { test, equal, looked, ok, stage } from "./browser.mjs";

/** Opens an act that was asked for under a request id, by the list. */
async function open(page, reason) {
  await page.goto("/");
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Approvals" }).click();
  await page.getByRole("heading", { name: "Approvals", level: 1 }).waitFor();
  await page.getByRole("navigation", { name: "Which acts" }).getByRole("link", { name: "All, also ended" }).click();
  await page.locator('[aria-current="true"]', { hasText: "All" }).waitFor();
  for (const path of await page.locator("tbody th a").evaluateAll((links) => links.map((link) => link.getAttribute("href")))) {
    await page.goto(path);
    if ((await page.getByText(reason, { exact: true }).count()) > 0) return path;
  }
  throw new Error(`nobody has asked for ${reason}`);
}

const approve = (page) => page.getByRole("button", { name: "Approve" });
const reject = (page) => page.getByRole("button", { name: "Reject" });

test("an act above its figure leads to where it waits, and who asked can only take it back", { user: "ada", at: "guarded" }, async (page, context) => {
  await page.goto("/finance/organizations/acme/adjust");
  await page.getByLabel("Amount").fill("150");
  await page.getByLabel("Reason").fill("a gift of ada");
  await page.getByRole("button", { name: "Submit" }).click();
  await page.getByText("Nothing was done yet").waitFor();
  await page.getByText("You have asked for this").waitFor();
  await looked(page, "approval-own");
  equal(await approve(page).count(), 0, "there is no way to approve it");
  // Nor by a form that was not offered.
  const form = await page.locator("main form").evaluate((form) => Object.fromEntries(new FormData(form)));
  const path = new URL(page.url()).pathname;
  const refused = await context.request.post(`${path}/approve`, { form, headers: { origin: stage.urls.guarded }, maxRedirects: 0 });
  ok(refused.status() === 409 && (await refused.text()).includes("another person has to approve it"), `${refused.status()}`);
  await reject(page).click();
  await page.getByRole("alert").getByText("Reason: must be filled in").waitFor();
  await page.getByLabel("Reason").fill("she has thought again");
  await reject(page).click();
  await page.getByText("Rejected: nothing was done").waitFor();
  await page.getByText("she has thought again").waitFor();
  equal(await page.locator("main form").count(), 0, "it has ended");
  await looked(page, "approval-rejected");
});

test("what waits stands on the overview, and another person approves it", { user: "bob", at: "guarded" }, async (page, context) => {
  await page.goto("/overview");
  await page.getByRole("link", { name: "Acts that wait for a second person" }).waitFor();
  await looked(page, "overview-approvals");
  await page.getByRole("link", { name: "Acts that wait for a second person" }).click();
  await page.getByRole("row", { name: /Adjust balance.*acme/ }).first().waitFor();
  await looked(page, "approvals");
  await open(page, "goodwill");
  await page.getByText("250.50\u00a0EUR").first().waitFor();
  await looked(page, "approval-waiting");
  await approve(page).click();
  await page.getByText("Approved and done").waitFor();
  await looked(page, "approval-done");
  await page.goto("/finance/organizations/acme/transactions");
  await page.getByText("goodwill").first().waitFor();
  await page.goto("/finance/approvals?state=all");
  const file = await page.getByRole("link", { name: "Download CSV" }).getAttribute("href");
  const lines = (await (await context.request.get(file)).text()).trim().split("\r\n");
  equal(lines[0], "number,act,account,currency,amount,state,request_id,asked_by,asked_for,asked_at,reason,ends_at,decided_by,decided_at,decided_reason,failure");
  ok(lines.some((line) => /,adjust,acme,EUR,250\.50?,done,goodwill,teller,/.test(line)), lines.join("\n"));
});

test("an act is rejected for a reason, and listed as such", { user: "bob", at: "guarded" }, async (page) => {
  const path = await open(page, "mistake");
  await reject(page).click();
  await page.getByRole("alert").getByText("Reason: must be filled in").waitFor();
  await looked(page, "approval-wrong");
  await page.getByLabel("Reason").fill("no mistake");
  await reject(page).click();
  await page.getByText("Rejected: nothing was done").waitFor();
  await page.goto("/finance/approvals?account=acme&state=all");
  const row = page.getByRole("row", { name: /rejected/ }).filter({ has: page.locator(`a[href="${path}"]`) });
  await row.waitFor();
  await looked(page, "approvals-all");
  await page.goto("/finance/approvals?account=nobody");
  await page.getByText("Nothing of this organization").waitFor();
  await looked(page, "approvals-none");
});

test("an act is approved without JavaScript, and what ended since is told", { user: "bob", at: "guarded", javaScriptEnabled: false }, async (page, context) => {
  const path = "/finance/approvals";
  await page.goto(`${path}?account=globex`);
  const links = await page.locator("tbody th a").all();
  const paths = await Promise.all(links.map((link) => link.getAttribute("href")));
  let found = false;
  for (const one of paths) {
    await page.goto(one);
    found = (await page.getByText("plain", { exact: true }).count()) > 0;
    if (found) break;
  }
  ok(found, "it waits");
  const stale = await context.newPage();
  await stale.goto(page.url());
  await approve(page).click();
  await page.getByText("Approved and done").waitFor();
  await approve(stale).click();
  await stale.getByRole("alert").getByText("no longer waits").waitFor();
});

test("raised limits wait, by their form, by converting, and by converting many", { user: "otto", at: "guarded" }, async (page) => {
  await page.goto("/finance/organizations/acme/set-limit");
  await page.getByLabel("Credit limit (EUR)").fill("6000");
  await page.getByLabel("Reason").fill("a larger customer");
  await page.getByRole("button", { name: "Submit" }).click();
  await page.getByText("Nothing was done yet").waitFor();
  await page.getByText("Raise credit limit").waitFor();
  await page.goto("/finance/organizations/acme/convert");
  await page.getByLabel("Credit limit (EUR)").fill("8000");
  await page.locator("main form button.primary").last().click();
  await page.getByText("Nothing was done yet").waitFor();
  await page.getByText("Postpaid").first().waitFor();
  await looked(page, "approval-converts");
  equal(await page.locator("main form").count(), 0, "an operator may look, and decides nothing");
  await page.goto("/finance/conversions");
  await page.locator("textarea[name=list]").fill("bulk;9000");
  await page.getByLabel("Reason").fill("moved");
  await page.locator("main form button.primary").click();
  await page.getByRole("button", { name: "Convert" }).or(page.getByRole("row", { name: /bulk/ })).first().waitFor();
  await page.getByRole("row", { name: /bulk.*needs the approval/ }).waitFor();
  await page.locator("form[action$='/run'] button").click();
  await page.getByRole("link", { name: "To the act that was asked for" }).click();
  await page.getByText("9,000").first().waitFor();
});

test("somebody who is let in after it was asked for is no second person", { user: "chief", at: "guarded" }, async (page, context) => {
  await page.goto("/settings/users");
  await page.getByLabel("Name", { exact: true }).fill("newcomer");
  await page.getByRole("checkbox", { name: /^finance/ }).check();
  await page.getByLabel("Reason").fill("a new colleague");
  await page.getByRole("button", { name: "Create a user" }).click();
  const link = await page.locator(".secret").innerText();
  const elsewhere = await context.browser().newContext({ baseURL: stage.urls.guarded, locale: "en-GB" });
  const newcomer = await elsewhere.newPage();
  await newcomer.goto(link);
  await newcomer.getByRole("button", { name: "Sign in by this link" }).click();
  await newcomer.getByRole("link", { name: "Organization Management" }).waitFor();
  await open(newcomer, "late");
  await approve(newcomer).click();
  await newcomer.getByRole("alert").getByText("let in after it was asked for").waitFor();
  await looked(newcomer, "approval-refused");
  await elsewhere.close();
});

test("who may only read sees what waits, and decides nothing", { user: "reader", at: "guarded", locale: "de-DE" }, async (page, context) => {
  await page.goto("/finance/approvals?account=globex");
  await page.getByRole("heading", { name: "Freigaben", level: 1 }).waitFor();
  await looked(page, "approvals-de");
  const path = await page.locator("tbody th a").first().getAttribute("href");
  await page.goto(path);
  await page.getByText("Erbeten von").waitFor();
  equal(await page.locator("main form").count(), 0);
  await looked(page, "approval-de");
  const token = await page.locator("[name=token]").first().inputValue();
  for (const what of ["approve", "reject"]) {
    equal((await context.request.post(`${path}/${what}`, { form: { token }, headers: { origin: stage.urls.guarded }, maxRedirects: 0 })).status(), 403, what);
  }
  equal((await page.goto("/finance/approvals/4711")).status(), 404);
  equal((await page.goto("/finance/approvals/none")).status(), 404);
});

test("figures of approval are set by those who manage access", { user: "chief", at: "guarded" }, async (page) => {
  await page.goto("/settings/issuer");
  await page.getByRole("navigation", { name: "Documents and mail" }).getByRole("link", { name: "Second person" }).click();
  await page.getByRole("row", { name: /Write off.*EUR.*100/ }).waitFor();
  await looked(page, "settings-approvals");
  const save = page.getByRole("button", { name: "Save" });
  await page.locator("select[name=act]").selectOption({ label: "Write off" });
  await page.getByLabel("Currency").fill("usd");
  await page.getByLabel("Reason").fill("dollars, too");
  await save.click();
  await page.getByRole("alert").getByText("must be an amount").waitFor();
  await looked(page, "settings-approvals-wrong");
  await page.getByLabel("Needs approval above").fill("1250.50");
  await save.click();
  await page.getByText("The figure was saved").waitFor();
  await page.getByRole("row", { name: /Write off.*USD.*1,250\.50/ }).waitFor();
  await page.locator("select[name=act]").selectOption({ label: "Write off" });
  await page.getByLabel("Currency").fill("USD");
  await page.getByLabel("No amount needs approval").check();
  await page.getByLabel("Reason").fill("no dollars any more");
  await save.click();
  await page.getByText("The figure was saved").waitFor();
  equal(await page.getByRole("row", { name: /USD/ }).count(), 0);
  await page.goto("/settings/audit?action=approvals.figure_set");
  await page.getByText("no dollars any more").waitFor();
});

test("while everybody may call, no figure is set, and the page says why", { user: "admin", at: "quiet" }, async (page) => {
  await page.goto("/settings/approvals");
  await page.getByText("No act needs a second person").waitFor();
  await page.getByLabel("Currency").fill("EUR");
  await page.getByLabel("Needs approval above").fill("100");
  await page.getByLabel("Reason").fill("four eyes");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").getByText("nobody can tell a second person").waitFor();
  await looked(page, "settings-approvals-refused");
});

test("the terms of retention are shown, with why nothing goes yet", { user: "reader", at: "guarded" }, async (page) => {
  await page.goto("/settings/retention");
  await page.getByText("400 days").waitFor();
  await page.getByText("8 years, from the end of the year of issue").waitFor();
  equal(await page.getByText("The term is new.").count(), 2);
  await page.getByText("for ever").waitFor();
  await looked(page, "settings-retention");
});
