import { test, becomes, equal, looked, ok } from "./browser.mjs";

const path = "/finance/organizations";
const names = (page) => page.locator("tbody th a").allTextContents();

test("organizations are found as one types, and filtered", { user: "admin" }, async (page) => {
  await page.goto("/");
  await page.getByRole("navigation").getByRole("link", { name: "Organization Management" }).click();
  await page.getByRole("heading", { name: "Organization Management" }).waitFor();
  equal((await names(page)).length, 50);
  await looked(page, "organizations");
  await page.getByRole("link", { name: "Next page" }).click();
  await page.getByText("on this page").waitFor();
  ok((await names(page)).length > 10, "the second page");
  await page.goto(path);
  // A part of the name is enough, and nothing has to be submitted.
  await page.getByLabel("Search").pressSequentially("müll", { delay: 20 });
  await becomes(() => names(page), ["Müller Logistik GmbH"]);
  const row = page.getByRole("row", { name: /Müller/ });
  ok(/Postpaid.*750.00.*2,000.00.*500.00.*–.*2,250.00/s.test(await row.innerText()), await row.innerText());
  await page.getByLabel("Search").fill("acme-");
  await page.getByLabel("Payment mode").selectOption("postpaid");
  await becomes(() => names(page), ["Acme Postpaid"]);
  ok(page.url().includes("mode=postpaid"), page.url());
  await page.getByLabel("Search").fill("there is none of this name");
  await page.getByText("No organization was found").waitFor();
  await looked(page, "organizations-none");
});

test("organizations are filtered by credit, and sorted", { user: "admin" }, async (page, context) => {
  await page.goto(path);
  await page.locator("select[name=credit]").selectOption("owing");
  const all = async (column, holds) => (await page.locator(`tbody td:${column}`).allInnerTexts()).every(holds);
  await becomes(() => all("nth-child(3)", (balance) => balance.startsWith("−")), true);
  ok((await names(page)).includes("Billed AG"), "who owes");
  await page.getByText("Found by the billing store at position").waitFor();
  await looked(page, "organizations-owing");
  await page.locator("select[name=credit]").selectOption("low");
  await page.getByRole("link", { name: "Customer bare" }).waitFor();
  await becomes(() => all("last-child", (text) => text.endsWith("low")), true);
  await page.locator("select[name=credit]").selectOption("");
  await page.getByLabel("Sort by").selectOption("balance-desc");
  await page.getByRole("link", { name: "Customer org-64" }).waitFor();
  equal((await names(page)).slice(0, 2), ["Customer org-64", "Customer org-63"]);
  // Pages go on behind the last row, in the same order.
  const last = (await names(page)).at(-1);
  await page.getByRole("link", { name: "Next page" }).click();
  await page.getByText("on this page").waitFor();
  const second = await names(page);
  ok(second.length > 10 && !second.includes(last), second.join());
  // A click on a column's head sorts by it, and a second one the other way round.
  await page.getByRole("link", { name: "Usable credit", exact: true }).click();
  equal(await page.getByRole("columnheader", { name: "Usable credit" }).getAttribute("aria-sort"), "ascending");
  await page.getByRole("link", { name: "Usable credit", exact: true }).click();
  equal(await page.getByRole("columnheader", { name: "Usable credit" }).getAttribute("aria-sort"), "descending");
  equal((await names(page))[0], "Customer org-64");
  const file = await page.getByRole("link", { name: "Download CSV" }).getAttribute("href");
  const lines = (await (await context.request.get(file)).text()).trim().split("\r\n");
  ok(lines[1].startsWith("org-64,"), lines[1]);
});

test("filters and orders work without JavaScript", { user: "reader", javaScriptEnabled: false }, async (page) => {
  await page.goto(path);
  await page.locator("select[name=credit]").selectOption("owing");
  await page.getByLabel("Sort by").selectOption("due-desc");
  await page.getByRole("button", { name: "Show" }).click();
  equal((await names(page))[0], "Billed AG");
});

test("the list works without JavaScript, and can be downloaded", { user: "admin", javaScriptEnabled: false }, async (page, context) => {
  await page.goto(path);
  await page.getByLabel("Search").fill("acme-p");
  await page.getByLabel("Status").selectOption("suspended");
  await page.getByRole("button", { name: "Show" }).click();
  equal(await names(page), ["Acme Prepaid"]);
  const file = await page.getByRole("link", { name: "Download CSV" }).getAttribute("href");
  const response = await context.request.get(file);
  ok(response.headers()["content-type"].startsWith("text/csv"), "the type");
  const lines = (await response.text()).trim().split("\r\n");
  equal(lines[0], "id,name,mode,status,currency,balance,credit_limit,limit_expires_at,usable,unbilled,due");
  equal(lines[1], "acme-prepaid,Acme Prepaid,prepaid,suspended,EUR,86.10,100.00,,186.10,0.00,0.00");
  equal(lines.length, 2);
});

test("who may not look at accounts sees no entry for them, and is refused", { user: "clerk" }, async (page) => {
  await page.goto("/");
  equal(await page.getByRole("link", { name: "Organization Management" }).count(), 0);
  equal((await page.goto(path)).status(), 403);
  await page.getByRole("heading", { name: "You may not do this" }).waitFor();
  await looked(page, "refused");
});

test("who is bound to accounts finds those alone", { user: "partner" }, async (page) => {
  await page.goto(path);
  equal(await names(page), ["Customer of Seven"]);
  await page.goto(`${path}?mode=postpaid`);
  await page.getByText("No organization was found").waitFor();
  await page.goto(`${path}?q=acme`);
  await page.getByText("No organization was found").waitFor();
  await page.goto(`${path}?q=customer`);
  equal(await names(page), ["Customer of Seven"]);
});

test("without a billing store names are found by their beginnings, and the page says so", { user: "admin", at: "unbilled" }, async (page) => {
  await page.goto(path);
  await page.getByText("without a billing store").waitFor();
  await page.getByLabel("Search").fill("globe");
  await becomes(() => names(page), ["Globex"]);
  await page.getByLabel("Search").fill("lobe");
  await page.getByText("No organization was found").waitFor();
  await looked(page, "organizations-unbilled");
});
