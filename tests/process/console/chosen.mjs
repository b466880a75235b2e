import { test, equal, looked, stage } from "./browser.mjs";

test("invoices are sent, and customers reminded, many at once, with a result for each", { user: "admin", at: "office" }, async (page, context) => {
  await page.goto("/invoices?state=overdue");
  await page.getByRole("button", { name: "Remind of the chosen ones" }).click();
  await page.getByRole("alert").getByText("at least one").waitFor();
  await page.goto("/invoices?state=overdue");
  await page.getByRole("row", { name: /Südsee/ }).getByRole("checkbox").check();
  await page.getByRole("row", { name: /Bergbahn/ }).getByRole("checkbox").check();
  const sent = page.waitForRequest((request) => request.method() === "POST");
  await page.getByRole("button", { name: "Send the chosen ones again" }).click();
  await page.getByRole("heading", { name: "Send the chosen ones again", level: 1 }).waitFor();
  await page.getByText("Done with 1. Not done with 1").waitFor();
  await page.getByText("No address is known to send it to").waitFor();
  await page.getByText("To be sent", { exact: true }).waitFor();
  await looked(page, "chosen");
  const form = { data: (await sent).postData(), headers: { origin: stage.urls.office, "content-type": "application/x-www-form-urlencoded" } };
  equal((await context.request.post("/invoices/chosen/send", form)).status(), 200);
  await page.locator("tbody tr", { hasText: "To be sent" }).getByRole("link").click();
  await page.getByRole("heading", { name: "Mails", level: 2 }).waitFor();
  equal(await page.locator("tbody tr", { hasText: "buchhaltung@suedsee.example" }).count() <= 3, true, "a double click sends once");
  await page.goto("/invoices?state=overdue");
  await page.getByRole("row", { name: /Südsee/ }).getByRole("checkbox").check();
  await page.getByRole("button", { name: "Remind of the chosen ones" }).click();
  await page.getByText("Done with 1.", { exact: true }).waitFor();
  await page.getByRole("link", { name: "Back to the list" }).click();
  await page.getByRole("heading", { name: "Invoices", level: 1 }).waitFor();
});

test("at most a page of documents is done at once, and what is none is told beside the others", { user: "admin", at: "office" }, async (page, context) => {
  await page.goto("/invoices?state=overdue");
  const token = await page.locator("[name=token]").first().inputValue();
  const request = await page.locator("form[action='/invoices/chosen/send'] [name=request]").inputValue();
  const row = await page.getByRole("row", { name: /Hafen/ }).getByRole("checkbox").inputValue();
  const post = async (documents, what) => {
    const data = new URLSearchParams([["token", token], ["request", request], ["what", what], ...documents.map((id) => ["document", id])]).toString();
    const headers = { origin: stage.urls.office, "content-type": "application/x-www-form-urlencoded" };
    const answer = await context.request.post("/invoices/chosen/send", { data, headers });
    return [answer.status(), await answer.text()];
  };
  const [many, why] = await post(Array.from({ length: 51 }, (_, number) => `0-${number + 1}`), "send");
  equal(many, 422);
  equal(why.includes("at most 50"), true, why);
  for (const time of ["first", "again"]) {
    const [status, text] = await post([row, "0-999999", row, "nonsense"], "remind");
    equal(status, 200, time);
    equal(text.includes("Done with 0. Not done with 2"), true, `${time}: ${text}`);
  }
});

test("invoices are found by how far their mail is, without JavaScript", { user: "admin", at: "office", javaScriptEnabled: false }, async (page) => {
  await page.goto("/invoices");
  await page.getByLabel("Mail").selectOption({ label: "Failed" });
  await page.getByRole("button", { name: "Show", exact: true }).click();
  await page.getByRole("row", { name: /Quelle/ }).first().waitFor();
  equal(await page.locator("tbody tr", { hasText: "Nordwind" }).count(), 0);
  await page.getByLabel("Mail").selectOption({ label: "Never to be sent" });
  await page.getByRole("button", { name: "Show", exact: true }).click();
  await page.getByText("No document was found").waitFor();
});

test("who may not send chooses nothing, and is refused", { user: "reader", at: "office" }, async (page, context) => {
  await page.goto("/invoices?state=overdue");
  equal(await page.getByRole("checkbox").count(), 0);
  const token = await page.locator("[name=token]").first().inputValue();
  for (const path of ["/invoices/chosen/send", "/invoices/chosen/approve"]) {
    const form = { token, request: "x", document: "0-1", what: "send" };
    equal((await context.request.post(path, { form, headers: { origin: stage.urls.office } })).status(), 403);
  }
});
