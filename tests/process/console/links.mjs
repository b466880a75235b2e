import { test, equal, looked, ok, stage } from "./browser.mjs";

const invoice = async (page, customer) => {
  await page.goto(`/invoices?q=${customer}&state=overdue`);
  await page.locator("tbody th a").first().click();
  await page.getByRole("heading", { name: /INV-/, level: 1 }).waitFor();
};

test("a link to an invoice is made, opened by its customer, and revoked", { user: "admin", at: "office" }, async (page, context) => {
  await invoice(page, "berg");
  await page.getByLabel("Days").fill("0");
  await page.getByRole("button", { name: "Make a link" }).click();
  await page.getByRole("alert").getByText("Days").waitFor();
  await looked(page, "links-wrong");
  await page.getByLabel("Days").fill("14");
  const sent = page.waitForRequest((request) => request.method() === "POST");
  await page.getByRole("button", { name: "Make a link" }).click();
  await page.getByText("The link was made").waitFor();
  const form = { data: (await sent).postData(), headers: { origin: stage.urls.office, "content-type": "application/x-www-form-urlencoded" }, maxRedirects: 0 };
  equal((await context.request.post(`${new URL(page.url()).pathname}/links`, form)).status(), 303, "the same again");
  await page.reload();
  equal(await page.getByLabel("Address of the link").count(), 1, "a double click makes one link");
  await looked(page, "links");
  const url = await page.getByLabel("Address of the link").inputValue();
  ok(/^http:\/\/127\.0\.0\.1:\d+\/d\/[\w-]{64}$/.test(url), url);

  const customer = await page.context().browser().newContext({ locale: "en-GB" });
  const seen = await customer.newPage();
  const errors = [];
  seen.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  equal((await seen.goto(url)).status(), 200);
  await seen.getByRole("heading", { name: /Invoice INV-/, level: 1 }).waitFor();
  await seen.frameLocator("iframe").getByText("Bergbahn Oberstdorf").first().waitFor();
  equal(errors, [], "nothing is refused by the policy");
  await looked(seen, "customer-document");
  const downloading = seen.waitForEvent("download");
  await seen.getByRole("link", { name: "Download as PDF" }).click();
  ok((await downloading).suggestedFilename().endsWith(".pdf"), "a PDF");

  await page.getByRole("button", { name: /^Revoke/ }).click();
  await page.getByText("The link was revoked").waitFor();
  await page.getByText("Revoked", { exact: true }).waitFor();
  equal(await page.getByLabel("Address of the link").count(), 0);
  equal((await seen.goto(url)).status(), 404);
  await seen.getByRole("heading", { name: "This link opens nothing" }).waitFor();
  await looked(seen, "customer-nothing");
  await customer.close();
});

test("links are made and revoked without JavaScript", { user: "admin", at: "office", javaScriptEnabled: false }, async (page) => {
  await invoice(page, "hafen");
  await page.getByRole("button", { name: "Make a link" }).click();
  await page.getByText("The link was made").waitFor();
  await page.getByRole("button", { name: /^Revoke/ }).click();
  await page.getByText("The link was revoked").waitFor();
});

test("who may not send makes no link, sees no address, and is refused", { user: "reader", at: "office" }, async (page, context) => {
  await invoice(page, "berg");
  equal(await page.getByRole("button", { name: /link/i }).count(), 0);
  equal(await page.getByLabel("Address of the link").count(), 0);
  const href = new URL(page.url()).pathname;
  const token = await page.locator("[name=token]").first().inputValue();
  const post = (to) => context.request.post(to, { form: { token, request: "x" }, headers: { origin: stage.urls.office } });
  equal((await post(`${href}/links`)).status(), 403);
  equal((await post(`${href}/links/AAAAAAAAAAAAAAAAAAAAAA/revoke`)).status(), 403);
});
