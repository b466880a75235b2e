import { test, equal, looked, ok } from "./browser.mjs";

test("what is owed is shown by age, summed up, at a position", { user: "reader", at: "office" }, async (page, context) => {
  await page.goto("/");
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Receivables" }).click();
  await page.getByRole("heading", { name: "Receivables" }).waitFor();
  // Due on 15 September, looked at on 2 November: 48 days; of 1,190 an amount of 1,000 has been paid.
  const row = page.getByRole("row", { name: /Hafen Logistik/ });
  const cells = await row.getByRole("cell").allInnerTexts();
  equal(cells[3], "190.00", cells.join());
  await page.getByText(/As of 2 Nov 2026/).click();
  await page.getByText("Partition 0: entry").waitFor();
  await looked(page, "receivables");
  const lines = (await (await context.request.get("/finance/receivables.csv")).text()).trim().split("\r\n");
  equal(lines[0], "account,name,currency,total,not_due,overdue_1_to_30,overdue_31_to_60,overdue_61_to_90,overdue_over_90,not_invoiced,unallocated");
  const hafen = lines.find((line) => line.startsWith("hafen,")).split(",");
  equal(hafen[6], "190.00", hafen.join());
  // The totals are the sums of the rows.
  const sum = lines.slice(1).reduce((sum, line) => sum + Math.round(Number(line.split(",").at(6)) * 100), 0);
  const total = (await page.locator("tfoot td").nth(3).innerText()).replace(/[^\d]/g, "");
  equal(Number(total), sum);
  await row.getByRole("link", { name: /open invoices/ }).click();
  await page.getByText("Only documents of hafen.").waitFor();
  ok(/190.00/.test(await page.locator("tbody tr").first().innerText()), "its open invoice");
});

test("what was owed when a day ended is shown by age on that day, without JavaScript", { user: "reader", at: "office", javaScriptEnabled: false }, async (page, context) => {
  await page.goto("/finance/receivables");
  await page.getByLabel("As of the end of").fill("2026-09-20");
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByText("What was open at the end of 20 Sep 2026").waitFor();
  // Due on 15 September.
  const cells = await page.getByRole("row", { name: /Hafen Logistik/ }).getByRole("cell").allInnerTexts();
  equal([cells[2], cells[3]], ["190.00", "–"], cells.join());
  const file = await page.getByRole("link", { name: "Download CSV" }).getAttribute("href");
  const lines = (await (await context.request.get(file)).text()).trim().split("\r\n");
  equal(lines.find((line) => line.startsWith("hafen,")).split(",")[5], "190.00");
  // Nothing was issued in the first month.
  await page.getByLabel("As of the end of").fill("2026-08-31");
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByText("Nobody owes anything").waitFor();
});

test("what is owed is ordered by age or by amount, without JavaScript", { user: "reader", at: "office", javaScriptEnabled: false }, async (page, context) => {
  await page.goto("/finance/receivables");
  equal(await page.getByLabel("Sort by").inputValue(), "oldest");
  await page.getByLabel("Sort by").selectOption({ label: "Largest amount first" });
  await page.getByRole("button", { name: "Show" }).click();
  const amounts = (await page.locator("tbody td.strong").allInnerTexts()).map((text) => Number(text.replace(/[^\d]/g, "")));
  ok(amounts.length > 1, amounts.join());
  equal(amounts, amounts.toSorted((one, other) => other - one));
  const file = await page.getByRole("link", { name: "Download CSV" }).getAttribute("href");
  const lines = (await (await context.request.get(file)).text()).trim().split("\r\n").slice(1);
  equal(lines.map((line) => Math.round(Number(line.split(",")[3]) * 100)), amounts, "the file is in the same order");
});

test("of a day that is not on record, or still to come, nothing is shown, and the page says why", { user: "reader", at: "office" }, async (page, context) => {
  for (const day of ["2026-08-04", "2026-11-03", "soon"]) {
    equal((await page.goto(`/finance/receivables?as_of=${day}`)).status(), 400, day);
    await page.getByRole("alert").getByText("There is nothing to show of this day").waitFor();
    equal((await context.request.get(`/finance/receivables.csv?as_of=${day}`)).status(), 400, day);
  }
  await looked(page, "receivables-wrong");
  await page.goto("/finance/receivables?as_of=2026-09-20");
  await looked(page, "receivables-past");
});

test("who may not look at documents finds no receivables", { user: "clerk" }, async (page) => {
  equal((await page.goto("/finance/receivables")).status(), 403);
});

test("who owes nothing is not there", { user: "partner" }, async (page) => {
  await page.goto("/finance/receivables");
  await page.getByText("Nobody owes anything").waitFor();
  await looked(page, "receivables-none");
});
