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

test("who may not look at documents finds no receivables", { user: "clerk" }, async (page) => {
  equal((await page.goto("/finance/receivables")).status(), 403);
});

test("who owes nothing is not there", { user: "partner" }, async (page) => {
  await page.goto("/finance/receivables");
  await page.getByText("Nobody owes anything").waitFor();
  await looked(page, "receivables-none");
});
