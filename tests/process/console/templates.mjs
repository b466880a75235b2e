import { test, equal, looked, ok, stage } from "./browser.mjs";

const frame = (page) => page.frameLocator("iframe[name=preview]");

test("a mail is written in own words: tried, refused while broken, saved, and put back", { user: "admin", at: "quiet" }, async (page, context) => {
  await page.goto("/settings/sending");
  await page.getByRole("navigation", { name: "Documents and mail" }).getByRole("link", { name: "Mail templates" }).click();
  await page.getByRole("heading", { name: "Mail templates", level: 1 }).waitFor();
  await looked(page, "mail-templates");
  await page.getByRole("link", { name: "Invoice (English)" }).click();
  await frame(page).getByText("Acme AG").first().waitFor();
  await page.getByLabel("Subject").fill("Your {{ document }}");
  await page.getByRole("textbox", { name: "Text", exact: true }).fill("Dear {{ customer }},\n\nplease pay {{ sum }}.");
  await page.getByRole("button", { name: "Preview of the page" }).click();
  await frame(page).getByText("text, line 3").waitFor();
  await page.getByLabel("Reason").fill("our own words");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").getByText("text, line 3").waitFor();
  await looked(page, "mail-template-wrong");
  equal(await page.getByLabel("Subject").inputValue(), "Your {{ document }}", "what was typed stays");
  await page.getByRole("textbox", { name: "Text", exact: true }).fill("Dear {{ customer }},\n\nplease pay {{ amount }}.");
  await page.getByRole("button", { name: "Preview of the text" }).click();
  await frame(page).getByRole("heading", { name: "Your Invoice INV-000123" }).waitFor();
  await frame(page).getByText("please pay EUR 1,234.50.").waitFor();
  await page.getByLabel("Reason").fill("our own words");
  const sent = page.waitForRequest((request) => request.method() === "POST");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("The template was saved").waitFor();
  await frame(page).getByText("please pay EUR 1,234.50.").waitFor();
  await looked(page, "mail-template");
  const form = { data: (await sent).postData(), headers: { origin: stage.urls.quiet, "content-type": "application/x-www-form-urlencoded" }, maxRedirects: 0 };
  equal((await context.request.post("/settings/mail-templates/invoice/en", form)).status(), 303, "the same again");
  await page.reload();
  equal(await page.getByRole("region", { name: "Versions" }).locator("tbody tr").count(), 1, "a double click saves once");
  // As long as it may be, each byte of it written as three in the form; and longer.
  await page.getByRole("textbox", { name: "Text", exact: true }).fill("ä".repeat(10_000));
  await page.getByLabel("Page (HTML)").fill("ä".repeat(10_000) + "x");
  await page.getByLabel("Reason").fill("much");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").getByText("html: must have at most 20000 bytes").waitFor();
  await page.getByLabel("Page (HTML)").fill("ä".repeat(10_000));
  await page.getByLabel("Reason").fill("much");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("The template was saved").waitFor();
  await page.getByLabel("Reason").fill("the usual was better");
  await page.getByRole("button", { name: "Back to the usual mail" }).click();
  await page.getByText("The template was saved").waitFor();
  equal(await page.getByLabel("Subject").inputValue(), "");
  await frame(page).getByText("This is Invoice INV-000123").waitFor();
  equal(await page.getByRole("region", { name: "Versions" }).locator("tbody tr").count(), 3);
  equal((await page.goto("/settings/mail-templates/news/en")).status(), 404);
});

test("templates are tried without JavaScript, by who may only read, too", { user: "role-read", at: "quiet", javaScriptEnabled: false }, async (page) => {
  await page.goto("/settings/mail-templates/reminder/de");
  await page.getByRole("heading", { name: "Reminder (Deutsch)" }).waitFor();
  equal(await page.getByRole("button", { name: "Save" }).count(), 0);
  await page.getByLabel("Page (HTML)").fill("<p>An {{ customer }}: <b>{{ open }}</b></p>");
  await page.getByRole("button", { name: "Preview of the page" }).click();
  await frame(page).getByText("An Acme AG: EUR 1.234,50").waitFor();
});
