import { test, equal, looked, ok, stage } from "./browser.mjs";

const path = "/invoices/mails";

test("what was sent is listed, and what nobody knows is decided, once", { user: "admin", at: "office" }, async (page, context) => {
  await page.goto("/");
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Mail", exact: true }).click();
  await page.getByRole("heading", { name: "Mail", level: 1 }).waitFor();
  await page.getByText("Mails have been waiting for more than 15 minutes").waitFor();
  await looked(page, "mails");
  const file = await page.getByRole("link", { name: "Download CSV" }).getAttribute("href");
  const lines = (await (await context.request.get(file)).text()).trim().split("\r\n");
  equal(lines[0], "id,kind,number,account,recipient,state,attempts,created_at,changed_at,sent_at,detail");
  ok(lines.some((line) => /^\w+,document,INV-\d+,suedsee,buchhaltung@suedsee.example,unknown,1,/.test(line)), lines.join("\n"));
  await page.getByRole("navigation", { name: "State" }).getByRole("link", { name: "Unknown" }).click();
  await page.getByRole("link", { name: "buchhaltung@suedsee.example" }).click();
  await page.getByText("It is unknown whether it did").waitFor();
  await looked(page, "mail-unknown");
  await page.getByLabel("Reason").fill("the customer has it");
  const sent = page.waitForRequest((request) => request.method() === "POST");
  await page.getByRole("button", { name: "It has arrived" }).click();
  await page.getByText("Decided.").waitFor();
  const form = { data: (await sent).postData(), headers: { origin: stage.urls.office, "content-type": "application/x-www-form-urlencoded" }, maxRedirects: 0 };
  equal((await context.request.post(`${new URL(page.url()).pathname}/decide`, form)).status(), 303, "the same again");
  equal(await page.getByRole("button", { name: "Do not send" }).count(), 0, "nothing is left to decide");
  await page.goto(`${path}?state=bounced`);
  await page.getByText("No mail was found").waitFor();
});

test("an invoice is sent, and its customer reminded, by hand", { user: "admin", at: "office" }, async (page) => {
  await page.goto("/invoices?q=hafen&state=overdue");
  await page.locator("tbody th a").first().click();
  await page.getByRole("link", { name: "Send again" }).click();
  await page.getByText("No address of the organization is known: please name one").waitFor();
  await page.getByRole("button", { name: "Send again" }).click();
  await page.getByRole("alert").getByText("No address is known to send it to").waitFor();
  await looked(page, "send-refused");
  await page.getByLabel("Addresses, one on each line").fill("nobody");
  await page.getByRole("button", { name: "Send again" }).click();
  await page.getByRole("alert").getByText("must be addresses such as").waitFor();
  await page.getByLabel("Addresses, one on each line").fill("kasse@hafen.example\nleitung@hafen.example");
  await page.getByRole("button", { name: "Send again" }).click();
  await page.getByText("It is to be sent within moments").waitFor();
  await page.getByRole("link", { name: "kasse@hafen.example" }).waitFor();
  await page.getByRole("link", { name: "Remind" }).click();
  await page.getByLabel("Addresses, one on each line").fill("kasse@hafen.example");
  await page.getByRole("button", { name: "Remind" }).click();
  await page.getByText("It is to be sent within moments").waitFor();
  await page.getByText("Reminder").waitFor();
  await looked(page, "invoice-with-mails");
});

test("what is sent to an organization is set", { user: "admin", at: "office" }, async (page) => {
  await page.goto("/finance/organizations/quelle");
  await page.getByRole("link", { name: "Sending to the organization" }).click();
  await page.getByLabel("Reminders").uncheck();
  await page.getByLabel("Addresses, one on each line").fill("quelle");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").getByText("must be addresses").waitFor();
  await looked(page, "sending-wrong");
  await page.getByLabel("Addresses, one on each line").fill("rechnung@quelle.example");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("What is sent was saved").waitFor();
  await page.getByText("Mail goes to rechnung@quelle.example").waitFor();
  await looked(page, "organization-with-mails");
  await page.getByRole("link", { name: "Sending to the organization" }).click();
  equal([await page.getByLabel("Reminders").isChecked(), await page.getByRole("checkbox", { name: "Invoices" }).isChecked()], [false, true]);
});

test("who may not send sees no button, and is refused", { user: "reader", at: "office" }, async (page, context) => {
  await page.goto("/invoices?q=hafen&state=overdue");
  await page.locator("tbody th a").first().click();
  await page.getByRole("heading", { name: /INV-/ }).waitFor();
  equal(await page.getByRole("link", { name: /Send|Remind/ }).count(), 0);
  const href = new URL(page.url()).pathname;
  const token = await page.locator("[name=token]").first().inputValue();
  const post = (to) => context.request.post(to, { form: { token, request: "x" }, headers: { origin: stage.urls.office } });
  equal((await page.goto(`${href}/send`)).status(), 403);
  equal((await post(`${href}/send`)).status(), 403);
  await page.goto(`${path}?state=failed`);
  await page.locator("tbody th a").first().click();
  await page.getByRole("heading", { name: /Failed/ }).waitFor();
  equal(await page.getByRole("button", { name: "Do not send" }).count(), 0);
  equal((await post(`${new URL(page.url()).pathname}/decide`)).status(), 403);
});

test("who is bound to accounts sees the mail of no others", { user: "partner", at: "office" }, async (page) => {
  await page.goto(path);
  equal([...new Set(await page.locator("tbody td .id:first-of-type").allInnerTexts())].filter((text) => !text.startsWith("partner-7/") && !text.startsWith("No address")), []);
  equal((await page.goto(`${path}?account=hafen`)).status(), 403);
});
