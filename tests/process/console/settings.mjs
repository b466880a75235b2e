import { execFileSync } from "node:child_process";
import { test, equal, looked, ok, stage } from "./browser.mjs";

/** Opens a page of the settings by clicks. */
async function open(page, tab) {
  await page.goto("/");
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Documents and mail" }).click();
  await page.getByRole("heading", { name: "Issuer", level: 1 }).waitFor();
  if (tab !== "Issuer") await page.getByRole("navigation", { name: "Documents and mail" }).getByRole("link", { name: tab }).click();
  await page.getByRole("heading", { name: tab, level: 1 }).waitFor();
}

const save = (page) => page.getByRole("button", { name: "Save" }).click();
const saved = (page) => page.getByText("The setting was saved").waitFor();

/** A PNG of one pixel. */
const PIXEL = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");

test("an issuer is set from a day on, with a logo that is kept", { user: "admin", at: "quiet" }, async (page, context) => {
  await open(page, "Issuer");
  equal(await page.getByLabel("Name", { exact: true }).inputValue(), "Nordlicht");
  await looked(page, "settings-issuer");
  await page.getByLabel("Country").fill("de");
  await page.getByLabel("Reason").fill("we have moved");
  await page.getByLabel("Logo").setInputFiles({ name: "logo.png", mimeType: "image/png", buffer: Buffer.from("no picture") });
  await save(page);
  await page.getByRole("alert").getByText("two capital letters").waitFor();
  await page.getByRole("alert").getByText("must be a PNG or JPEG").waitFor();
  await looked(page, "settings-issuer-wrong");
  await page.getByLabel("Country").fill("DE");
  await page.getByLabel("Lines of the address").fill("Kai 1\nHof 3");
  await page.getByLabel("How to pay").fill("IBAN DE02 1203 0000 0000 2020 51");
  await page.getByLabel("Logo").setInputFiles({ name: "logo.png", mimeType: "image/png", buffer: PIXEL });
  await page.getByLabel("Holds from").fill("2026-11-01");
  const fields = await page.locator("main form").evaluate((form) => Object.fromEntries([...new FormData(form)].filter(([, value]) => typeof value === "string")));
  await save(page);
  await saved(page);
  const multipart = { ...fields, logo: { name: "logo.png", mimeType: "image/png", buffer: PIXEL } };
  const again = await context.request.post("/settings/issuer", { multipart, headers: { origin: stage.urls.quiet }, maxRedirects: 0 });
  equal(again.status(), 303, "the same again");
  ok(await page.getByLabel("Keep the logo (1 × 1 pixels)").isChecked(), "there is a logo");
  await page.getByLabel("Phone").fill("040 1234");
  await page.getByLabel("Reason").fill("a phone");
  await save(page);
  await saved(page);
  ok(await page.getByLabel("Keep the logo (1 × 1 pixels)").isChecked(), "the logo is kept");
  equal(await page.getByRole("region", { name: "Versions" }).locator("tbody tr").count() >= 2, true, "the version before is shown");
  await looked(page, "settings-issuer-versions");
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Audit trail" }).click();
  await page.getByLabel("Act", { exact: true }).fill("issuer.set");
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByText("reason: a phone").waitFor();
});

test("a rate of tax is set, and read as it is typed", { user: "admin", at: "quiet" }, async (page) => {
  await open(page, "Tax");
  await looked(page, "settings-tax");
  await page.getByLabel("Category").selectOption({ label: "Hardware" });
  await page.getByLabel("Tax rate in percent").fill("101");
  await page.getByLabel("Holds from").fill("2027-01-01");
  await page.getByLabel("Reason").fill("the law changes");
  await save(page);
  await page.getByRole("alert").getByText("from 0 to 100").waitFor();
  await looked(page, "settings-tax-wrong");
  await page.getByLabel("Tax rate in percent").fill("7.25");
  await save(page);
  await page.getByRole("row", { name: /Hardware.*7.25.%.*1 Jan 2027/ }).waitFor();
  await page.getByRole("row", { name: /All that.*19.%.*1 Jan 2020.*in force/ }).waitFor();
});

test("a rate of tax is typed as German readers type it", { user: "role-finance", at: "quiet", locale: "de-DE" }, async (page) => {
  await page.goto("/settings/tax");
  await page.getByLabel("Art").selectOption({ label: "Nutzung" });
  await page.getByLabel("Steuersatz in Prozent").fill("7,5");
  await page.getByLabel("Gilt ab").fill("2027-02-01");
  await page.getByLabel("Grund").fill("Gesetz");
  await page.getByRole("button", { name: "Speichern" }).click();
  await page.getByRole("row", { name: /Nutzung.*7,5.%.*01\.02\.2027/ }).waitFor();
  equal(await page.getByRole("row", { name: /Nutzung/ }).getByText("gilt").count(), 0, "it is not in force yet");
  await looked(page, "settings-tax-de");
});

test("an item is named, renamed, and called nothing again", { user: "admin", at: "quiet" }, async (page) => {
  await open(page, "Item names");
  await page.getByText("No item has a name yet").waitFor();
  await looked(page, "settings-items-empty");
  await page.getByLabel("Item", { exact: true }).fill("voice mail");
  await page.getByLabel("Is called").fill("Gespräche");
  await page.getByLabel("Language of documents").selectOption({ label: "German" });
  await page.getByLabel("Reason").fill("customers asked");
  await save(page);
  await page.getByRole("alert").getByText("as charges name it").waitFor();
  await page.getByLabel("Item", { exact: true }).fill("voice");
  await save(page);
  await saved(page);
  await looked(page, "settings-items");
  await page.getByRole("link", { name: "voice", exact: true }).click();
  equal(await page.getByLabel("Is called").inputValue(), "Gespräche");
  await page.getByLabel("Is called").fill("Telefonate");
  await page.getByLabel("Reason").fill("a better word");
  await save(page);
  await page.getByRole("cell", { name: "Telefonate" }).waitFor();
  await page.getByRole("link", { name: "voice", exact: true }).click();
  await page.getByLabel("Reason").fill("no longer sold");
  await page.getByRole("button", { name: "Take the name away" }).click();
  await page.getByText("No item has a name yet").waitFor();
});

test("drafts are issued when somebody says so", { user: "admin", at: "quiet" }, async (page) => {
  await open(page, "Issuing");
  ok(await page.getByLabel("at once").isChecked(), "it begins at once");
  await page.getByLabel("some hours after").check();
  await page.getByLabel("Reason").fill("we look first");
  await save(page);
  await page.getByRole("alert").getByText("Hours: must be filled in").waitFor();
  await looked(page, "settings-issuing-wrong");
  await page.getByLabel("Hours", { exact: true }).fill("48");
  await save(page);
  await saved(page);
  equal([await page.getByLabel("some hours after").isChecked(), await page.getByLabel("Hours", { exact: true }).inputValue()], [true, "48"]);
  await page.getByLabel("at once").check();
  await page.getByLabel("Reason").fill("back");
  await save(page);
  await saved(page);
});

test("invoice sending is switched on with its reminders, and goes on from a copy when somebody says so", { user: "admin", at: "quiet" }, async (page) => {
  // Who is about to send is told before.
  await page.goto("/invoices/INV-000001/send");
  await page.getByText("Sending is switched off").waitFor();
  await page.goto("/invoices/mails");
  await page.getByText("Sending is switched off").waitFor();
  await page.getByRole("link", { name: "Settings of sending" }).click();
  await looked(page, "settings-sending");
  await page.getByLabel("Invoice sending").check();
  await page.getByLabel("Reminders of unpaid").fill("-3, week");
  await page.getByLabel("Reason").fill("customers wait");
  await save(page);
  await page.getByRole("alert").getByText("From: must be filled in").waitFor();
  await page.getByRole("alert").getByText("whole numbers").waitFor();
  await looked(page, "settings-sending-wrong");
  await page.getByLabel("From", { exact: true }).fill("Nordlicht <billing@nordlicht.example>");
  await page.getByLabel("Reminders of unpaid").fill("-3, 7");
  await page.getByLabel("Largest attachment").fill("200");
  await save(page);
  await saved(page);
  equal([await page.getByLabel("Reminders of unpaid").inputValue(), await page.getByLabel("Largest attachment").inputValue()], ["-3, 7", "200"]);
  const copied = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=30); c.execute('UPDATE sending_place SET held_since = 1793873000000'); c.commit()";
  execFileSync("python3", ["-c", copied, stage.files.quiet]);
  await page.goto("/invoices/mails");
  await page.getByText("may be a copy").waitFor();
  await page.getByRole("link", { name: "Settings of sending" }).click();
  await page.getByRole("heading", { name: "Nothing is sent" }).waitFor();
  await looked(page, "settings-sending-held");
  const form = page.locator("form[action$='go-on']");
  await form.getByLabel("Reason").fill("it is the only one");
  await form.getByRole("button").click();
  await page.getByRole("alert").getByText("choose at least one").waitFor();
  await form.getByLabel("Do not send what waits").check();
  await form.getByLabel("Reason").fill("it is the only one");
  await form.getByRole("button").click();
  await page.getByText("Mail is sent from here again").waitFor();
  await page.getByLabel("Invoice sending").uncheck();
  await page.getByLabel("Reason").first().fill("enough");
  await save(page);
  await saved(page);
});

test("who may only read sees the settings, and no way to change them", { user: "reader", at: "office" }, async (page) => {
  await open(page, "Sending");
  equal(await page.getByLabel("From", { exact: true }).inputValue(), "Leuchtturm Telekom <rechnung@leuchtturm.example>");
  equal(await page.getByRole("button", { name: "Save" }).count(), 0);
  await looked(page, "settings-sending-read");
  await open(page, "Issuing");
  ok(await page.getByLabel("at once").isDisabled(), "it is shown, and no more");
  await looked(page, "settings-issuing-read");
  equal(await page.getByRole("link", { name: "Users and keys" }).count(), 0);
});

test("who is bound to accounts sees no settings of the service", { user: "partner", at: "office" }, async (page) => {
  await page.goto("/");
  equal(await page.getByRole("link", { name: "Documents and mail" }).count(), 0);
  for (const path of ["issuer", "tax", "items", "issuing", "sending", "users", "keys"]) equal((await page.goto(`/settings/${path}`)).status(), 403, path);
});

test("the lists of settings can be downloaded", { user: "admin", at: "quiet" }, async (page, context) => {
  for (const [list, header, row] of [
    ["tax", "category,valid_from,percent", /^,2020-01-01,19$/],
    ["items", "item,language,name", null],
    ["users", "name,roles,accounts,disabled,has_password,created_at", /^boss,admin,,false,/],
    ["keys", "name,kind,roles,accounts,created_at,expires_at,revoked_at,last_used_at", null],
  ]) {
    await page.goto(`/settings/${list}`);
    const file = await page.getByRole("link", { name: "Download CSV" }).getAttribute("href");
    const lines = (await (await context.request.get(file)).text()).trim().split("\r\n");
    equal(lines[0], header);
    ok(!row || lines.some((line) => row.test(line)), lines.join("\n"));
  }
});

test("without a billing store there are no such settings, and the page says so", { user: "admin", at: "unbilled" }, async (page) => {
  const answer = await page.goto("/settings/issuer");
  ok(answer.status() >= 400, `${answer.status()}`);
  await page.getByRole("heading", { level: 1 }).waitFor();
  await looked(page, "settings-without-billing");
});
