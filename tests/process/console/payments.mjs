import { test, becomes, equal, looked, ok } from "./browser.mjs";

const path = "/finance/payments";
const ids = (page) => page.locator("tbody th a").allTextContents();

test("payments are listed, with what they pay, and a receipt", { user: "reader", at: "office" }, async (page, context) => {
  await page.goto("/");
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Payments" }).click();
  await page.getByRole("heading", { name: "Payments" }).waitFor();
  await page.getByText("payments on this page").waitFor();
  await looked(page, "payments");
  await page.getByLabel("Id of the organization").fill("hafen");
  await becomes(() => ids(page), ["in-part"]);
  const file = await page.getByRole("link", { name: "Download CSV" }).getAttribute("href");
  const lines = (await (await context.request.get(file)).text()).trim().split("\r\n");
  equal(lines[0], "account,id,kind,received_at,recorded_at,currency,amount,allocated,reversed,unallocated,method,reference,remark");
  ok(/^hafen,in-part,payment,2026-09-.*,EUR,1000.00,1000.00,0.00,0.00,,,$/.test(lines[1]), lines[1]);
  await page.getByRole("link", { name: "in-part" }).click();
  await page.getByRole("heading", { name: "Payment in-part" }).waitFor();
  await page.getByRole("heading", { name: "What it pays" }).waitFor();
  await page.frameLocator("iframe").getByText("Leuchtturm Telekom GmbH").first().waitFor();
  await looked(page, "payment");
  const href = new URL(page.url()).pathname;
  equal((await context.request.get(`${href}/pdf`)).headers()["content-type"], "application/pdf");
  equal((await context.request.get(`${href}/exe`)).status(), 404);
  await page.getByRole("row", { name: /1,000.00/ }).getByRole("link").click();
  await page.getByRole("heading", { name: /INV-/ }).waitFor();
  equal((await page.goto(`${path}/hafen/nothing`)).status(), 404);
});

test("payments need no script", { user: "erika", at: "office", javaScriptEnabled: false }, async (page) => {
  await page.goto(path);
  await page.getByLabel("Month").selectOption("2026-09");
  await page.getByRole("button", { name: "Show" }).click();
  // The clock of the stage ticks by top-ups.
  equal((await ids(page)).filter((id) => !id.startsWith("tick")).toSorted(), ["in-part", "paid"]);
  await page.getByLabel("Id of the organization").fill("nordwind");
  await page.getByLabel("Only with a rest").check();
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByText("No payment was found").waitFor();
});

test("who is bound to accounts sees no payments of others", { user: "partner", at: "office" }, async (page) => {
  await page.goto(path);
  await page.getByText("There are no payments yet").waitFor();
  await looked(page, "payments-none");
  equal((await page.goto(`${path}/hafen/in-part`)).status(), 403);
});
