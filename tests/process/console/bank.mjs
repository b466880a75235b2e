import { readFileSync } from "node:fs";
import { test, becomes, equal, looked, ok, stage } from "./browser.mjs";

const path = "/finance/payments/import";
const pills = (page) => page.locator("tbody .pill").allInnerTexts();

/** A sample, with the numbers of this stage's invoices. */
async function sample(page, name) {
  const numbers = {};
  await page.goto("/invoices");
  for (const row of await page.locator("tbody tr").all()) numbers[await row.locator("td a").first().innerText()] = await row.locator("th a").innerText();
  const text = readFileSync(new URL(`../../bank/${name}`, import.meta.url), "utf8");
  return text.replaceAll("INV-000001", "<1>").replaceAll("INV-000002", numbers["Initech GmbH"]).replaceAll("<1>", numbers["Hooli AG"]);
}

async function read(page, name, content) {
  await page.goto(path);
  await page.getByLabel("Statement of the bank").setInputFiles({ name, mimeType: "text/plain", buffer: Buffer.from(content) });
  await page.getByRole("button", { name: "Read" }).click();
}

test("a bank statement is matched, confirmed and booked, and no line of it twice", { user: "admin", at: "quiet" }, async (page, context) => {
  const [csv, camt] = [await sample(page, "statement.csv"), await sample(page, "statement.camt053.xml")];
  await page.goto("/finance/payments");
  await page.getByRole("link", { name: "Bank statement" }).click();
  await looked(page, "bank");
  await read(page, "x.csv", "date,amount,currency,text\n2026-11-03,1.234,EUR,x\n");
  await page.getByRole("alert").getByText("Line 2: The amount cannot be read").waitFor();
  await looked(page, "bank-wrong");
  await read(page, "x.csv", csv);
  equal(await pills(page), ["Matches", "Differs", "Not matched"]);
  await page.getByText("1 other line is left out").waitFor();
  equal(await page.locator("[name=book]:checked").count(), 1, "what matches exactly is chosen");
  await looked(page, "bank-proposed");
  await page.getByLabel(/^Book: .*Teilzahlung/).check();
  await page.getByLabel("Book: Danke für alles").check();
  const sent = page.waitForRequest((request) => request.method() === "POST");
  await page.getByRole("button", { name: "Book the chosen lines" }).click();
  await page.getByText("2 lines were booked").waitFor();
  equal(await pills(page), ["Booked", "Booked", "Refused"]);
  await looked(page, "bank-booked");
  // The same form again, and the same money in the file of the month: it is booked once.
  const form = { data: (await sent).postData(), headers: { origin: stage.urls.quiet, "content-type": "application/x-www-form-urlencoded" } };
  ok(/0 lines were booked/.test(await (await context.request.post(`${path}/book`, form)).text()), "a second time");
  const booked = async () => { await read(page, "y.csv", csv); return pills(page); };
  await becomes(booked, ["Booked before", "Booked before", "Not matched"]);
  await page.getByLabel(/organization, for: Danke/).fill("globex");
  await page.getByLabel("Book: Danke für alles").check();
  await page.getByRole("button", { name: "Book the chosen lines" }).click();
  await page.getByText("1 line was booked").waitFor();
  // 119.00 and 20.00 of 59.50 are paid; what the camt file says is 59.50 at once, more than what is open.
  await becomes(async () => { await page.goto("/invoices?state=paid"); return page.locator("tbody tr").filter({ hasNotText: "umbrella" }).count(); }, 1);
  // Its last line names no payer, and gives the bank's reference, so that it is another line by its digest; the money may be the same.
  await read(page, "z.xml", camt);
  equal(await pills(page), ["Booked before", "Differs", "Perhaps booked"]);
  await page.getByText("same day and amount was booked on globex").waitFor();
  equal(await page.locator("[name=book]:checked").count(), 0, "what may be booked is not chosen");
  await looked(page, "bank-alike");
  await page.getByRole("button", { name: "Book the chosen lines" }).click();
  await page.getByRole("alert").getByText("at least one").waitFor();
  await page.goto("/finance/payments/globex/top-up/allocate");
  await looked(page, "payment-act");
});

test("a payment is taken off an invoice, allocated again, and reversed, without JavaScript", { user: "boss", at: "quiet", javaScriptEnabled: false }, async (page) => {
  await page.goto("/finance/organizations/globex/record-payment");
  await page.getByLabel("Amount (EUR)").fill("7");
  await page.getByLabel("Reason").fill("test");
  await page.getByRole("button", { name: "Submit" }).click();
  await page.getByText("The payment was recorded").waitFor();
  await becomes(async () => { await page.goto("/finance/payments?account=globex"); return page.getByRole("row", { name: /7\.00/ }).count(); }, 1);
  await page.getByRole("row", { name: /7\.00/ }).getByRole("link").first().click();
  equal(await page.getByRole("link", { name: "Take off" }).count(), 0, "it pays nothing");
  const href = new URL(page.url()).pathname;
  await page.getByRole("link", { name: "Allocate", exact: true }).click();
  await page.getByLabel("Number of the invoice").fill("INV-999999");
  await page.getByLabel("Reason").fill("test");
  await page.getByRole("button", { name: "Submit" }).click();
  await page.getByRole("alert").getByText("There is no such invoice").waitFor();
  for (const act of ["take-off", "set-free"]) equal((await page.goto(`${href}/${act}`)).status(), 200);
  await page.getByLabel("Reason").fill("nothing is set aside");
  await page.getByRole("button", { name: "Submit" }).click();
  await page.goto(`${href}/take-off?invoice=INV-000001`);
  await page.getByLabel("Reason").fill("it pays none");
  await page.getByRole("button", { name: "Submit" }).click();
  await page.getByRole("alert").waitFor();
  await page.goto(`${href}/reverse`);
  await page.getByLabel("Amount (EUR)").fill("2");
  await page.getByLabel("Reason").fill("the bank took it back");
  await page.getByRole("button", { name: "Submit" }).click();
  await page.getByText("Reversed.").waitFor();
  await becomes(async () => { await page.goto(href); return page.getByRole("heading", { name: "What took it back" }).count(); }, 1);
});

test("who may not record payments imports no statement, and does nothing with payments", { user: "reader", at: "office" }, async (page, context) => {
  await page.goto("/finance/payments/hafen/in-part");
  await page.getByRole("heading", { name: "Payment in-part" }).waitFor();
  equal(await page.getByRole("link", { name: /Allocate|Take off|Reverse/ }).count(), 0);
  const token = await page.locator("[name=token]").first().inputValue();
  const post = (to) => context.request.post(to, { form: { token, request: "x" }, headers: { origin: stage.urls.office } });
  for (const act of ["allocate", "take-off", "set-free", "reverse"]) {
    equal((await page.goto(`/finance/payments/hafen/in-part/${act}`)).status(), 403, act);
    equal((await post(`/finance/payments/hafen/in-part/${act}`)).status(), 403, act);
  }
  await page.goto("/finance/payments");
  equal(await page.getByRole("link", { name: "Bank statement" }).count(), 0);
  equal((await page.goto(path)).status(), 403);
  equal((await post(path)).status(), 403);
  equal((await post(`${path}/book`)).status(), 403);
});
