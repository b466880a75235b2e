import { test, becomes, equal, looked, ok, stage } from "./browser.mjs";

const at = (id, rest = "") => `/finance/organizations/${encodeURIComponent(id)}${rest}`;
const cells = (page, row) => page.getByRole("row", { name: row }).locator("td").allInnerTexts();

test("the four steps: the Finance app, Organization Management, Convert to Postpaid, Submit", { user: "helper" }, async (page) => {
  await page.goto("/");
  await page.getByRole("navigation").getByRole("link", { name: "Organization Management" }).click();
  await page.getByLabel("Search").fill("nordw");
  await page.getByRole("link", { name: "Nordwind Telefonie" }).click();
  await page.getByRole("link", { name: "Convert to Postpaid" }).click();
  await page.getByRole("heading", { name: "Convert to Postpaid" }).waitFor();
  // 500 - 180.40 = 319.60; the suggested limit is October's 180.40, rounded up.
  equal(await page.getByLabel("Credit limit (EUR)").inputValue(), "181.00");
  equal(await cells(page, "Payment mode"), ["Prepaid", "Postpaid"]);
  equal(await cells(page, "Usable credit"), ["319.60\u00a0EUR", "500.60\u00a0EUR"]);
  await page.getByText("A good time: last month’s invoice was generated").waitFor();
  // Sending is switched off, and the setting says whom to ask.
  await page.getByText("it is unknown here whether it reached the customer. If you feel unsure, ask Ann, extension 12.").waitFor();
  await looked(page, "convert-to-postpaid");
  // What is shown goes with what is typed.
  const limit = page.getByLabel("Credit limit (EUR)");
  for (const [typed, shown, after] of [["300", "300.00", "619.60"], ["181.00", "181.00", "500.60"]]) {
    await limit.fill(typed);
    await limit.press("Tab");
    await becomes(async () => (await cells(page, "Usable credit"))[1], `${after}\u00a0EUR`);
    equal(await cells(page, "Credit limit"), ["0.00\u00a0EUR", `${shown}\u00a0EUR`]);
  }
  await limit.fill("much");
  await limit.press("Tab");
  await page.getByRole("alert").getByText("Credit limit").waitFor();
  equal(await page.getByRole("row", { name: "Usable credit" }).count(), 0, "nobody knows what that would lead to");
  await limit.fill("181");
  await limit.press("Tab");
  await becomes(async () => page.getByRole("row", { name: "Usable credit" }).count(), 1);
  await page.getByRole("button", { name: "Submit" }).click();
  await page.getByRole("heading", { name: "Converted to Postpaid" }).waitFor();
  await page.getByText("The credit limit of 181.00\u00a0EUR stays unless you tick").waitFor();
  equal(await cells(page, "Credit limit"), ["0.00\u00a0EUR", "181.00\u00a0EUR"]);
  equal(await cells(page, "Payment mode"), ["Prepaid", "Postpaid"]);
  equal(await cells(page, "Usable credit"), ["319.60\u00a0EUR", "500.60\u00a0EUR"]);
  await looked(page, "converted-to-postpaid");
  // A reload sends the same request again.
  await page.reload();
  await page.getByRole("heading", { name: "Converted to Postpaid" }).waitFor();
  await page.getByRole("link", { name: "To the organization" }).click();
  await page.getByRole("link", { name: "Convert to Prepaid" }).waitFor();
  equal(await page.getByRole("cell", { name: "Payment mode converted" }).count(), 1);
});

test("a conversion to prepaid shows the final bill before and after, without JavaScript", { user: "helper", javaScriptEnabled: false }, async (page) => {
  await page.goto(at("back"));
  await page.getByRole("link", { name: "Convert to Prepaid" }).click();
  // 300 - 42.50 = 257.50 before; -42.50 + 300 after.
  equal(await cells(page, "Usable credit"), ["257.50\u00a0EUR", "257.50\u00a0EUR"]);
  equal(await cells(page, "Final bill"), ["–", "42.50\u00a0EUR"]);
  await page.getByText("Consider removing it").waitFor();
  await page.getByLabel("Remove the credit limit").check();
  await page.getByRole("button", { name: "Show what this changes" }).click();
  equal(await cells(page, "Usable credit"), ["257.50\u00a0EUR", "−42.50\u00a0EUR"]);
  equal(await cells(page, "Credit limit"), ["300.00\u00a0EUR", "0.00\u00a0EUR"]);
  ok(await page.getByLabel("Remove the credit limit").isChecked());
  await page.getByRole("button", { name: "Submit" }).click();
  await page.getByRole("heading", { name: "Converted to Prepaid" }).waitFor();
  equal(await cells(page, "Usable credit"), ["257.50\u00a0EUR", "−42.50\u00a0EUR"]);
  await page.getByText("42.50\u00a0EUR are due").waitFor();
  await page.getByText("Was it a mistake?").waitFor();
});

test("a conversion to prepaid is looked at", { user: "admin" }, async (page) => {
  await page.goto(at("mueller", "/convert"));
  await page.getByRole("heading", { name: "Convert to Prepaid" }).waitFor();
  await looked(page, "convert-to-prepaid");
});

test("a conversion that would leave nothing to use says so, and offers what helps", { user: "erika", locale: "de-DE" }, async (page) => {
  await page.goto(at("org-00", "/convert"));
  await page.goto(at("bare", "/convert"));
  await page.getByText("Ohne Kreditrahmen könnte das Konto keine Vorgänge machen").waitFor();
  await looked(page, "convert-needs-limit-de");
  await page.getByRole("button", { name: "Absenden" }).click();
  await page.getByRole("alert").getByText("Das wurde abgelehnt: Ohne Kreditrahmen und ohne Überzahlung").waitFor();
  await page.getByLabel("Kreditrahmen (EUR)").fill("1.000");
  await page.getByRole("button", { name: "Absenden" }).click();
  await page.getByRole("alert").getByText("ohne Tausenderpunkte").waitFor();
  await page.getByRole("link", { name: "Wie man den Kreditrahmen bestimmt" }).first().click();
  await page.getByRole("heading", { name: "Wie man den Kreditrahmen bestimmt" }).waitFor();
  await looked(page, "guideline");
});

test("the keyboard alone converts", { user: "admin" }, async (page) => {
  await page.goto("/");
  const focused = () => page.evaluate(() => document.activeElement?.innerText?.trim() || document.activeElement?.getAttribute("name") || "");
  /** Presses Tab until something has the focus; what has it is seen. */
  async function tabTo(what) {
    for (let presses = 0; presses < 200; presses++) {
      await page.keyboard.press("Tab");
      // In one look: a list that is found anew may take the focus along.
      const outline = await page.evaluate((what) => {
        const element = document.activeElement;
        const text = element?.innerText?.trim() || element?.getAttribute("name") || "";
        return text === what ? getComputedStyle(element).outlineStyle : null;
      }, what);
      if (outline !== null) {
        ok(outline !== "none", `the focus on ${what} is not seen`);
        return;
      }
    }
    throw new Error(`Tab never comes to ${what}`);
  }
  await page.keyboard.press("Tab");
  equal(await focused(), "Skip to the content");
  await tabTo("q");
  await page.keyboard.type("söhne");
  await page.getByText("1 organization", { exact: true }).waitFor();
  await tabTo("Schlüssel & Söhne");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Schlüssel & Söhne" }).waitFor();
  await tabTo("Convert to Postpaid");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Convert to Postpaid" }).waitFor();
  await tabTo("limit");
  await page.keyboard.type("30");
  await tabTo("Submit");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Converted to Postpaid" }).waitFor();
});

test("a form of another session converts nothing", { user: "admin" }, async (page, context) => {
  const form = { request: "forged", mode: "postpaid", token: "forged", limit: "1000" };
  const answer = await context.request.post(at("org-01", "/convert"), { form, headers: { origin: stage.urls.main } });
  equal(answer.status(), 403);
  await page.goto(at("org-01"));
  await page.getByRole("link", { name: "Convert to Postpaid" }).waitFor();
});
