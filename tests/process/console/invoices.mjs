import { test, becomes, equal, looked, ok, stage } from "./browser.mjs";

const office = (user, options = {}) => ({ user, at: "office", ...options });
const titles = (page) => page.locator("tbody th a").allTextContents();
const tab = (page, name) => page.getByRole("navigation", { name: /State|Stand/ }).getByRole("link", { name, exact: true });
const pills = (page) => page.locator("tbody .pill").allTextContents();

test("invoices are found by state, kind, month and text", office("reader"), async (page, context) => {
  await page.goto("/");
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Invoices" }).click();
  await page.getByRole("heading", { name: "Invoices", level: 1 }).waitFor();
  await looked(page, "invoices");
  equal(await page.getByRole("checkbox").count(), 0, "who may not approve chooses nothing");
  await tab(page, "Paid").click();
  await page.getByText("1 document", { exact: true }).waitFor();
  const row = page.getByRole("row", { name: /Nordwind/ });
  ok(/INV-00000\d.*Invoice.*Nordwind AG.*31 Aug 2026.*15 Sep 2026.*Paid.*119.00.EUR.*–/s.test(await row.innerText()), await row.innerText());
  await tab(page, "Overdue").click();
  await page.getByText("5 documents", { exact: true }).waitFor();
  equal([...new Set(await pills(page))], ["Overdue"]);
  // In part paid, in part refunded.
  ok(/1,190.00.EUR.*190.00/s.test(await page.getByRole("row", { name: /Hafen/ }).innerText()), "Hafen");
  await tab(page, "All").click();
  await page.getByLabel("Kind").selectOption("credit_note");
  await page.getByText("1 document", { exact: true }).waitFor();
  ok(/23.80/.test(await page.getByRole("row", { name: /Südsee/ }).innerText()), "the credit note");
  await page.getByLabel("Kind").selectOption("");
  await page.getByLabel("Month").selectOption("2026-08");
  await page.getByText("7 documents", { exact: true }).waitFor();
  await page.getByLabel("Search").pressSequentially("logis", { delay: 20 });
  await page.getByText("1 document", { exact: true }).waitFor();
  await page.getByRole("cell", { name: "Hafen Logistik" }).waitFor();
  const file = await page.getByRole("link", { name: "Download CSV" }).getAttribute("href");
  const lines = (await (await context.request.get(file)).text()).trim().split("\r\n");
  equal(lines[0], "id,number,kind,state,account,customer,currency,total,open,tax_contained,period_from,period_to,issued_at,due_at,refers_to,held_reason");
  equal(lines.length, 2);
  ok(/,INV-00000\d,invoice,overdue,hafen,Hafen Logistik,EUR,1190.00,190.00,190.00,/.test(lines[1]), lines[1]);
  await page.getByLabel("Search").fill("nobody is called so");
  await page.getByText("No document was found").waitFor();
  await looked(page, "invoices-none");
  await page.goto("/invoices");
  await page.getByLabel("Total").fill("1190.00");
  await page.getByLabel("Total").press("Enter");
  await page.getByText("1 document", { exact: true }).waitFor();
  await page.getByRole("cell", { name: "Hafen Logistik" }).waitFor();
  equal((await (await context.request.get("/invoices.csv?total=1190")).text()).trim().split("\r\n").length, 2);
  await page.getByLabel("Total").fill("1,190.00");
  await page.getByLabel("Total").press("Enter");
  await page.getByRole("alert").getByText("Total: must be an amount such as").waitFor();
  await looked(page, "invoices-wrong-total");
});

test("an invoice is shown as its customer sees it, and sent as files", office("reader"), async (page, context) => {
  await page.goto("/invoices?q=nordwind&state=paid");
  await page.locator("tbody th a").first().click();
  await page.getByRole("heading", { name: /INV-.*Paid/ }).waitFor();
  const paper = page.frameLocator("iframe");
  await paper.getByText("Leuchtturm Telekom GmbH").first().waitFor();
  await paper.getByText("Calls within Germany").first().waitFor();
  await looked(page, "invoice");
  const href = new URL(page.url()).pathname;
  const html = await context.request.get(`${href}/html`);
  const policy = html.headers()["content-security-policy"];
  ok(/sandbox/.test(policy) && /default-src 'none'/.test(policy) && /frame-ancestors 'self'/.test(policy), policy);
  equal(html.headers()["x-frame-options"], "SAMEORIGIN");
  equal(html.headers()["cache-control"], "no-store");
  const pdf = await context.request.get(`${href}/pdf`);
  equal(pdf.headers()["content-type"], "application/pdf");
  ok((await pdf.body()).subarray(0, 5).toString() === "%PDF-", "a PDF");
  ok(/^attachment; filename="INV-\d+\.pdf"$/.test(pdf.headers()["content-disposition"]), pdf.headers()["content-disposition"]);
  ok(/voice/.test(await (await context.request.get(`${href}/csv`)).text()), "its usage");
  equal((await context.request.get(`${href}/exe`)).status(), 404);
  // Opened alone, it shows itself too.
  const alone = await context.newPage();
  await alone.goto(`${href}/html`);
  await alone.getByText("Leuchtturm Telekom GmbH").first().waitFor();
  equal((await page.goto("/invoices/INV-999999")).status(), 404);
});

test("what is held back is worked out again; drafts are approved, one and many at once", office("admin"), async (page, context) => {
  await page.goto("/invoices?state=held");
  await page.getByText("2 documents", { exact: true }).waitFor();
  await page.getByText(/a difference of -2.50 EUR/).first().waitFor();
  await looked(page, "invoices-held");
  await page.getByRole("row", { name: /Bergbahn/ }).getByRole("link").first().click();
  await page.getByText("It is held back, because it does not add up").waitFor();
  await looked(page, "invoice-held");
  await page.getByRole("button", { name: "Work it out again" }).click();
  await page.getByText("It adds up now").waitFor();
  await page.goto("/invoices?state=held");
  await page.getByText("1 document", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Work all out again" }).click();
  await page.getByText("It adds up now").waitFor();
  await page.goto("/invoices?state=held");
  await page.getByText("No document was found").waitFor();
  await page.goto("/invoices");
  await tab(page, "To approve").click();
  await page.getByText("8 documents", { exact: true }).waitFor();
  equal([...new Set(await pills(page))], ["To approve"]);
  await page.getByText("Approve all that wait").click();
  await looked(page, "invoices-to-approve");
  await page.getByRole("button", { name: "Approve the chosen ones" }).click();
  await page.getByRole("alert").getByText("at least one").waitFor();
  await looked(page, "invoices-wrong");
  // One, from its own page.
  await page.goto("/invoices?state=to-approve");
  await page.getByRole("row", { name: /Wiesengrund/ }).getByRole("link").first().click();
  await page.getByText("It waits for somebody to approve it").waitFor();
  await page.frameLocator("iframe").getByText(/draft/i).first().waitFor();
  await looked(page, "invoice-to-approve");
  await page.getByRole("button", { name: "Approve" }).click();
  await page.getByText("Approved. What can be issued").waitFor();
  await becomes(async () => { await page.reload(); return /STM-/.test(await page.locator("h1").innerText()); }, true);
  // Two by boxes; the same form twice approves nothing twice.
  await page.goto("/invoices?state=to-approve");
  await page.getByText("7 documents", { exact: true }).waitFor();
  await page.getByRole("row", { name: /Nordwind/ }).getByRole("checkbox").check();
  await page.getByRole("row", { name: /Shop of Seven/ }).getByRole("checkbox").check();
  await page.getByLabel("Note for the audit trail").fill("looked at both");
  const sent = page.waitForRequest((request) => request.method() === "POST");
  await page.getByRole("button", { name: "Approve the chosen ones" }).click();
  await page.getByText("Done with 2.", { exact: true }).waitFor();
  const again = await context.request.post("/invoices/chosen/approve", { data: (await sent).postData(), headers: { origin: stage.urls.office, "content-type": "application/x-www-form-urlencoded" }, maxRedirects: 0 });
  equal(again.status(), 200);
  await becomes(async () => { await page.goto("/invoices?state=to-approve"); return (await titles(page)).length; }, 5);
  // The rest, all at once.
  await page.getByText("Approve all that wait").click();
  await page.getByRole("button", { name: "Approve all of them" }).click();
  await page.getByText("Approved. What can be issued").waitFor();
  await becomes(async () => { await page.goto("/invoices?state=to-approve"); return (await titles(page)).length; }, 0);
  await becomes(async () => { await page.goto("/invoices?state=draft"); return (await titles(page)).length; }, 0);
  // The credit note is on the invoice that it corrects, and the other way round.
  await page.goto("/invoices?kind=credit_note");
  await page.getByRole("link", { name: /CRN-/ }).click();
  await page.getByRole("link", { name: /INV-/ }).click();
  await page.getByRole("heading", { name: /INV-/ }).waitFor();
  await page.getByRole("link", { name: /CRN-/ }).waitFor();
  await looked(page, "invoice-corrected");
});

test("who may not approve is refused, and who is bound to accounts sees theirs alone", office("partner"), async (page, context) => {
  await page.goto("/invoices");
  await page.getByRole("cell", { name: "Shop of Seven" }).first().waitFor();
  equal(await page.getByText("Nordwind").count(), 0);
  const form = { token: await page.locator("[name=token]").first().inputValue(), request: "forged", document: "0-1" };
  for (const path of ["/invoices/approve", "/invoices/retry", "/invoices/0-1/retry"]) {
    equal((await context.request.post(path, { form, headers: { origin: stage.urls.office } })).status(), 403, path);
  }
  equal((await context.request.get("/invoices?account=nordwind")).status(), 403);
});

test("invoices speak German, and need no script", office("erika", { locale: "de-DE", javaScriptEnabled: false }), async (page) => {
  await page.goto("/invoices?state=paid");
  await page.getByRole("heading", { name: "Rechnungen", level: 1 }).waitFor();
  ok(/119,00.EUR/.test(await page.getByRole("row", { name: /Nordwind/ }).innerText()), "the amount");
  await page.getByLabel("Monat").selectOption("2026-08");
  await page.getByRole("button", { name: "Anzeigen" }).click();
  await page.locator("tbody th a").first().click();
  await page.frameLocator("iframe").getByText("Leuchtturm Telekom GmbH").first().waitFor();
});

test("charges of an invoice are credited, in part and whole, and both documents lead to each other", { user: "boss", at: "quiet" }, async (page) => {
  const invoice = stage.credited;
  await page.goto(`/invoices/${invoice}`);
  await page.getByRole("link", { name: "Credit", exact: true }).click();
  await page.getByRole("heading", { name: `Credit charges of ${invoice}` }).waitFor();
  // A refund of that id would be of the charge that has it now.
  const again = page.getByRole("row", { name: /again/ });
  await again.getByText("Its id was used again").waitFor();
  equal(await again.getByRole("checkbox").count(), 0);
  await looked(page, "credit");
  await page.getByLabel("Reason").fill("the line was down");
  await page.getByRole("button", { name: "Make credit notes" }).click();
  await page.getByRole("alert").getByText("at least one").waitFor();
  await looked(page, "credit-wrong");
  await page.getByLabel("Credit the charge october-2", { exact: true }).check();
  await page.getByLabel("Amount to credit of october-2").fill("10");
  await page.getByLabel("Reason").fill("the line was down");
  await page.getByRole("button", { name: "Make credit notes" }).click();
  await page.getByText("1 charge was credited").waitFor();
  await looked(page, "credit-done");
  // The note is there as soon as the billing store has read of it.
  const notes = page.locator("dl.particulars div", { hasText: "Credit note" });
  await becomes(async () => { await page.goto(`/invoices/${invoice}`); return notes.count(); }, 1);
  ok(/10\.00/.test(await notes.innerText()), await notes.innerText());
  await notes.getByRole("link").click();
  await page.getByRole("link", { name: invoice }).first().waitFor();
  // What is left of the charge is credited whole, and then there is nothing left to choose.
  await page.goto(`/invoices/${invoice}/credit`);
  await page.getByRole("cell", { name: "13.80", exact: true }).waitFor();
  for (const charge of ["october-1", "october-2"]) await page.getByLabel(`Credit the charge ${charge}`, { exact: true }).check();
  await page.getByLabel("Reason").fill("the whole of it");
  await page.getByRole("button", { name: "Make credit notes" }).click();
  await page.getByText("2 charges were credited").waitFor();
  await becomes(async () => { await page.goto(`/invoices/${invoice}/credit`); return page.getByRole("checkbox").count(); }, 0);
});

test("without a billing store there are no invoices, and the page says so", { user: "admin", at: "unbilled" }, async (page) => {
  equal((await page.goto("/invoices")).status(), 409);
  await page.getByText("without a billing store").waitFor();
});
