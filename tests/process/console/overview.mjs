import { test, becomes, equal, looked, ok } from "./browser.mjs";

test("the overview shows how things are, and is kept up to date", { user: "admin", at: "office" }, async (page) => {
  await page.goto("/");
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Overview" }).click();
  await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  await page.getByText("30 Nov 2026, 23:59").or(page.getByText("1 Dec 2026, 00:00")).waitFor();
  await page.getByRole("link", { name: "Mails that failed" }).waitFor();
  // No process has a mail server here.
  await page.getByRole("link", { name: "Mails that nobody has tried to send for 15 minutes" }).waitFor();
  await looked(page, "overview");
  // A rate is known only once two looks were compared.
  await becomes(async () => /^\d/.test(await page.locator(".tiles dd.large").first().innerText()), true);
  await page.getByRole("link", { name: "Mails that failed" }).click();
  await page.getByRole("heading", { name: "Mail", level: 1 }).waitFor();
});

test("the overview says what was declined, without JavaScript and without a billing store", { user: "admin", at: "unbilled", javaScriptEnabled: false }, async (page) => {
  await page.goto("/overview");
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.getByText("There is no billing store.").first().waitFor();
  await page.getByRole("row", { name: /Not enough credit/ }).getByText("1").waitFor();
  await page.getByRole("link", { name: "globex" }).waitFor();
});

test("who may not see how the journal is read sees no overview", { user: "clerk" }, async (page, context) => {
  await page.goto("/you");
  equal(await page.getByRole("link", { name: "Overview" }).count(), 0);
  for (const path of ["/overview", "/overview/live", "/settings/audit", "/settings/audit.csv"]) equal((await context.request.get(path)).status(), 403, path);
});

test("the audit trail says who did what, whole and of an organization", { user: "admin", at: "office" }, async (page, context) => {
  await page.goto("/finance/organizations/nordwind");
  await page.getByRole("link", { name: "Audit trail" }).last().click();
  await page.getByRole("heading", { name: "Audit trail", level: 1 }).waitFor();
  await page.getByText("billing_details.set").or(page.getByText("customer.set")).first().waitFor();
  equal([...new Set(await page.locator("tbody th .id").allInnerTexts())], ["nordwind"]);
  await looked(page, "audit");
  await page.getByLabel("Id of the organization").fill("");
  await page.getByLabel("Act").fill("sending.set");
  await page.getByRole("button", { name: "Show" }).click();
  await page.locator("tbody tr").first().waitFor();
  equal(await page.locator("tbody tr").count(), 1);
  const file = await page.getByRole("link", { name: "Download CSV" }).getAttribute("href");
  const lines = (await (await context.request.get(file)).text()).trim().split("\r\n");
  equal(lines.length, 2);
  ok(/,sending.set,,DONE,/.test(lines[1]), lines[1]);
  await page.getByLabel("Act").fill("nothing.done");
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByText("No record was found").waitFor();
});
