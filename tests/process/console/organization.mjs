import { test, becomes, equal, looked, ok, recorded, stage } from "./browser.mjs";

const at = (id, rest = "") => `/finance/organizations/${encodeURIComponent(id)}${rest}`;
const fact = (page, name) => page.locator("dl.facts div", { hasText: name }).first().locator("dd").innerText();
const done = (page, text) => page.locator(".notice.done", { hasText: text }).waitFor();

/** Opens an act by its button, fills its form in, and submits it. */
async function act(page, name, fields) {
  await page.getByRole("link", { name, exact: true }).click();
  for (const [label, value] of Object.entries(fields)) await page.getByLabel(label).fill(value);
  await page.getByRole("button", { name: "Submit" }).click();
}

test("an organization is looked at, with all that belongs to it", { user: "admin" }, async (page, context) => {
  await page.goto("/finance/organizations?q=billed");
  await page.getByRole("link", { name: "Billed AG" }).click();
  await page.getByRole("heading", { name: "Billed AG", level: 1 }).waitFor();
  equal(await fact(page, "Amount due"), "113.90\u00a0EUR\ndoes not reduce usable credit");
  equal(await page.locator(".large").innerText(), "1,000.00\u00a0EUR");
  await page.getByRole("img", { name: /Credit limit 1,000.00/ }).waitFor();
  await page.getByRole("row", { name: /Invoice · 1 Nov 2026.*Open.*113.90/ }).waitFor();
  await page.getByText("20095 Hamburg").waitFor();
  await looked(page, "organization");
  const statement = await context.request.get(at("billed", "/statement"));
  equal([statement.status(), statement.headers()["content-type"]], [200, "application/pdf"]);
  equal((await page.goto(at("nobody"))).status(), 404);
  await page.goto(at("empty"));
  await page.getByText("There are no payments yet").waitFor();
  await looked(page, "organization-empty");
});

test("how credit went is drawn, and said in words and as a table", { user: "admin" }, async (page) => {
  await page.goto(at("nordwind"));
  const chart = page.getByRole("img", { name: /Current balance from 12 Oct 2026 to 5 Nov 2026/ });
  await chart.waitFor();
  ok(/319.60.*at the end/.test(await chart.getAttribute("aria-label")), await chart.getAttribute("aria-label"));
  ok(/^M0 /.test(await chart.locator("path").last().getAttribute("d")), "a line");
  await page.getByText("As a table").click();
  await page.getByRole("row", { name: "12 Oct 2026 319.60" }).waitFor();
  await looked(page, "organization-chart");
  // What is of one day has no course.
  await page.goto(at("bare"));
  await page.getByRole("heading", { name: "Customer bare", level: 1 }).waitFor();
  equal(await page.getByRole("heading", { name: "Credit over time" }).count(), 0);
});

for (const javaScriptEnabled of [true, false]) {
  test(`notes are added, shown, downloaded and removed, JavaScript ${javaScriptEnabled}`, { user: "helper", javaScriptEnabled }, async (page, context) => {
    const id = javaScriptEnabled ? "org-20" : "org-21";
    await page.goto(at(id));
    await page.getByRole("link", { name: "All notes, and new ones" }).click();
    await page.getByText("Nothing has been noted").waitFor();
    if (javaScriptEnabled) await looked(page, "notes-empty");
    await page.getByLabel("New note").fill("Pays late, but pays.\nAsk for <Ann>.");
    await page.getByRole("button", { name: "Add note" }).click();
    await done(page, "The note was added");
    const note = page.getByRole("listitem").filter({ hasText: "Pays late" });
    equal(await note.locator(".note").innerText(), "Pays late, but pays.\nAsk for <Ann>.");
    ok(/5 Nov 2026, 10:00 · helper/.test(await note.innerText()), await note.innerText());
    if (javaScriptEnabled) await looked(page, "notes");
    await page.goto(at(id));
    await page.getByText("Pays late, but pays.").waitFor();
    const file = await (await context.request.get(at(id, "/notes.csv"))).text();
    ok(file.startsWith("added_at,actor,on_behalf_of,text,id\r\n2026-11-05T10:00:00Z,helper,,"), file);
    await page.goto(at(id, "/notes"));
    await page.getByRole("button", { name: /^Remove/ }).click();
    await done(page, "The note was removed");
    await page.getByText("Nothing has been noted").waitFor();
  });
}

test("a note without words is refused, and who may only read adds none", { user: "helper" }, async (page, context) => {
  await page.goto(at("org-22", "/notes"));
  const token = await page.locator("[name=token]").first().inputValue();
  const request = await page.locator("[name=request]").first().inputValue();
  const form = { token, request, text: " " };
  const refused = await context.request.post(at("org-22", "/notes"), { form, headers: { origin: stage.urls.main } });
  equal(refused.status(), 422);
  await page.getByLabel("New note").evaluate((field) => field.removeAttribute("required"));
  await page.getByRole("button", { name: "Add note" }).click();
  await page.getByRole("alert").getByText("Note: ").waitFor();
  await looked(page, "notes-wrong");
});

test("transactions are filtered and downloaded", { user: "reader" }, async (page, context) => {
  await page.goto(at("acts"));
  await page.getByRole("link", { name: "All transactions" }).click();
  await page.getByRole("heading", { name: "Transactions" }).waitFor();
  await page.getByRole("cell", { name: "Reserved", exact: true }).waitFor();
  await looked(page, "transactions");
  await page.getByLabel("What").selectOption("charges");
  await page.getByRole("button", { name: "Show" }).click();
  ok((await page.locator("tbody tr").allInnerTexts()).every((row) => /Charge|Refund/.test(row)), "charges alone");
  const href = await page.getByRole("link", { name: "Download CSV" }).getAttribute("href");
  const lines = (await (await context.request.get(href)).text()).trim().split("\r\n");
  equal(lines[0], "time,kind,request_id,item,description,net,amount,currency,balance,unbilled,actor,reason");
  ok(lines.some((line) => line.startsWith("2026-11-05T10:00:00Z,ChargedBalance,call-1,,,-25.00,25.00,EUR,75.00,0.00,")), lines.join("\n"));
  await page.getByLabel("From").fill("2027-01-01");
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByText("There are no transactions").waitFor();
});

test("whom documents are for is changed", { user: "helper" }, async (page) => {
  await page.goto(at("empty"));
  await page.getByRole("link", { name: /^Change/ }).click();
  await page.getByLabel("E-mail").fill("nobody@example.org");
  await page.getByLabel("Address").fill(Array.from({ length: 9 }, (_, line) => `Line ${line}`).join("\n"));
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").getByText("at most 8 lines").waitFor();
  await looked(page, "details-wrong");
  await page.getByLabel("Address").fill("Ring 1\n10115 Berlin");
  await page.getByRole("button", { name: "Save" }).click();
  await done(page, "The billing details were saved");
  await page.getByText("10115 Berlin").waitFor();
});

test("all that can be done with an organization is done", { user: "admin" }, async (page) => {
  await page.goto(at("acts"));
  equal(await fact(page, "Balance"), "75.00\u00a0EUR");
  await looked(page, "organization-busy");
  await act(page, "Top up", { Amount: "1,000" });
  await page.getByRole("alert").getByText("without separators of thousands").waitFor();
  await looked(page, "act-wrong");
  await page.getByLabel("Amount").fill("50.00");
  await page.getByRole("button", { name: "Submit" }).click();
  await done(page, "Topped up");
  equal(await fact(page, "Balance"), "125.00\u00a0EUR");
  await page.getByRole("link", { name: "Release hold" }).click();
  await page.getByRole("button", { name: "Submit" }).click();
  await done(page, "Released");
  equal(await fact(page, "Reserved"), "0.00\u00a0EUR");
  await page.getByRole("link", { name: "Set credit limit" }).click();
  await looked(page, "set-limit");
  await page.getByRole("link", { name: "Cancel" }).click();
  await act(page, "Set credit limit", { "Credit limit (EUR)": "40", "Limit while it runs": "60", Days: "10", Reason: "a busy week" });
  await done(page, "The credit limit was set");
  equal(await fact(page, "Credit limit"), "60.00\u00a0EUR\nuntil 15 Nov 2026, 10:00");
  await act(page, "Withdraw", { Amount: "1000", Reason: "moving away" });
  await page.getByRole("alert").getByText("are missing. Nothing was changed").waitFor();
  await looked(page, "withdraw-declined");
  await page.getByLabel("Amount").fill("25");
  await page.getByRole("button", { name: "Submit" }).click();
  await done(page, "Paid out");
  await act(page, "Adjust balance", { Amount: "-10", Reason: "counted twice" });
  await done(page, "The balance was corrected");
  equal(await fact(page, "Balance"), "90.00\u00a0EUR");
  await page.getByRole("link", { name: "Refund call-1" }).click();
  await page.getByLabel("Reason").fill("a bad line");
  await page.getByRole("button", { name: "Submit" }).click();
  await done(page, "Refunded");
  equal(await fact(page, "Balance"), "115.00\u00a0EUR");
  await page.getByRole("cell", { name: /Refund.*a bad line/ }).waitFor();
  await act(page, "Suspend", { Reason: "unpaid" });
  await done(page, "Suspended");
  await act(page, "Resume", { Reason: "paid" });
  await done(page, "Resumed");
  await act(page, "Close", { Reason: "gone" });
  await page.getByRole("alert").getByText("This was refused").waitFor();
  await page.goto(at("empty"));
  await act(page, "Close", { Reason: "gone" });
  await done(page, "Closed");
  equal(await page.getByRole("link", { name: "Top up" }).count(), 0);
  await act(page, "Reopen", { Reason: "back again" });
  await done(page, "Reopened");
});

test("an invoice is paid in part, and the rest is written off", { user: "admin", javaScriptEnabled: false }, async (page) => {
  await page.goto(at("billed"));
  await page.getByRole("link", { name: "Record payment" }).click();
  await page.getByRole("checkbox").first().check();
  await page.getByLabel("Amount").fill("50");
  await page.getByLabel("Reference").fill("RF18 5390");
  await page.getByLabel("Reason").fill("bank transfer");
  await page.getByRole("button", { name: "Submit" }).click();
  await done(page, "The payment was recorded");
  equal((await fact(page, "Amount due")).split("\n")[0], "63.90\u00a0EUR");
  await act(page, "Write off", { Reason: "insolvent" });
  await done(page, "Written off");
  equal(await fact(page, "Amount due"), "0.00\u00a0EUR");
});

test("what is sent twice is done once", { user: "admin" }, async (page, context) => {
  await page.goto(at("poor", "/top-up"));
  const value = (name) => page.locator(`form.stack [name=${name}]`).inputValue();
  const form = { token: await value("token"), request: await value("request"), amount: "7.5" };
  const headers = { origin: stage.urls.main };
  const send = () => context.request.post(at("poor", "/top-up"), { form, headers, maxRedirects: 0 });
  const answers = await Promise.all([send(), send(), send()]);
  equal(answers.map((answer) => answer.status()), [303, 303, 303]);
  equal((await send()).headers().location, `${at("poor")}?done=top-up`);
  await page.goto(at("poor"));
  equal(await fact(page, "Balance"), "7.50\u00a0EUR");
  // The same form with another amount is another request, and is refused.
  const other = await context.request.post(at("poor", "/top-up"), { form: { ...form, amount: "8" }, headers });
  equal(other.status(), 409);
});

test("who may not sees no button, and is refused", { user: "reader" }, async (page, context) => {
  await page.goto(at("nordwind"));
  await page.getByRole("heading", { name: "Nordwind Telefonie" }).waitFor();
  equal(await page.getByRole("link", { name: /Convert|Top up|Record|Set credit|Withdraw|Adjust|Write off|Suspend|Close|Refund|Release|Change/ }).count(), 0);
  const token = await page.locator("[name=token]").first().inputValue();
  const acts = ["convert", "top-up", "record-payment", "set-limit", "withdraw", "adjust", "write-off", "suspend", "resume", "close", "reopen", "refund", "release", "details"];
  for (const name of acts) {
    const form = { token, request: `refused-${name}`, amount: "1", reason: "try", of: "october", mode: "postpaid", limit: "5" };
    const posted = await context.request.post(at("nordwind", `/${name}`), { form, headers: { origin: stage.urls.main } });
    equal([name, posted.status()], [name, 403]);
    equal([name, (await context.request.get(at("nordwind", `/${name}`))).status()], [name, 403]);
  }
});

test("an organization is looked at without a billing store", { user: "admin", at: "unbilled" }, async (page) => {
  await page.goto(at("globex"));
  await page.getByText("there are no invoices and payments to show").waitFor();
  await page.getByRole("link", { name: "Set credit limit" }).click();
  await page.getByRole("heading", { name: "Set credit limit" }).waitFor();
  await page.goto(at("globex", "/convert"));
  await page.getByText("Before", { exact: true }).waitFor();
});

test("whether an organization is charged tax is set from a day on, with what documents say of it", { user: "boss", at: "quiet" }, async (page, context) => {
  await page.goto("/finance/organizations/hooli");
  await page.getByRole("link", { name: "Tax treatment" }).click();
  await page.getByText("Tax is charged: nothing else was set.").waitFor();
  await looked(page, "treatment-none");
  await page.getByLabel("Tax treatment").selectOption({ label: "Reverse charge: the customer owes the tax" });
  await page.getByLabel("Reason").fill("they have a tax id of France");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").getByText("What documents say of it: must be filled in").waitFor();
  await looked(page, "treatment-wrong");
  await page.getByLabel("What documents say of it").fill("FR 12 345678901");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("The setting was saved").waitFor();
  await page.getByLabel("Tax treatment").selectOption({ label: "Tax is charged" });
  await page.getByLabel("What documents say of it").fill("a word too many");
  await page.getByLabel("Holds from").fill("2027-01-01");
  await page.getByLabel("Reason").fill("they have moved here");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").getByText("must be empty where tax is charged").waitFor();
  await page.getByLabel("What documents say of it").fill("");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("The setting was saved").waitFor();
  equal(await page.locator("tbody tr").allInnerTexts().then((rows) => rows.map((row) => /in force/.test(row))), [false, true]);
  await looked(page, "treatment");
  const lines = (await (await context.request.get("/finance/organizations/hooli/tax.csv")).text()).trim().split("\r\n");
  equal(lines, ["treatment,valid_from,reason", "reverse_charge,2026-11-05,FR 12 345678901", "taxed,2027-01-01,"]);
  await recorded(page, "tax_treatment.set", "they have moved here");
});

test("the treatment of tax speaks German, and who may only read changes nothing", { user: "role-read", at: "quiet", locale: "de-DE", javaScriptEnabled: false }, async (page) => {
  await page.goto("/finance/organizations/globex/tax");
  await page.getByRole("heading", { name: "Besteuerung" }).waitFor();
  await page.getByText("Es wird Steuer berechnet").first().waitFor();
  equal(await page.getByRole("button", { name: "Speichern" }).count(), 0);
});
