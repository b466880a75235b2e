import { becomes, test, equal, looked, ok, stage } from "./browser.mjs";

const path = "/finance/conversions";
const pills = async (page) => (await page.locator("tbody .pill").allInnerTexts()).toSorted();

test("many are looked at first, then converted, once, with a report", { user: "admin", at: "quiet" }, async (page, context) => {
  await page.goto("/");
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Bulk convert" }).click();
  await page.getByLabel("Ids, one on each line").fill("bulk-1;100\nbulk-2\nnobody");
  await page.getByLabel("Each keeps its limit").check();
  await looked(page, "bulk");
  await page.getByLabel("Reason").fill("contracts of November");
  await page.getByRole("button", { name: "Look first" }).click();
  await page.getByText("Looked at", { exact: true }).waitFor();
  // 12.50 of its own and a limit of 100; bulk-2 would have nothing to use; there is no nobody.
  equal(await pills(page), ["Converted", "Refused", "Refused"]);
  equal(await page.getByRole("row", { name: /bulk-1/ }).locator("td").last().innerText(), "112.50\u00a0EUR");
  await looked(page, "bulk-looked");
  await page.getByRole("button", { name: "Convert them" }).click();
  await page.getByText("Done", { exact: true }).waitFor();
  await page.getByText("Converted: 1").waitFor();
  await looked(page, "bulk-done");
  const file = await page.getByRole("link", { name: "Report as CSV" }).getAttribute("href");
  const lines = (await (await context.request.get(file)).text()).trim().split("\r\n");
  equal(lines[0], "account,outcome,dry_run,currency,usable_before,usable_after,reason,text");
  ok(lines.includes("bulk-1,converted,false,EUR,12.50,112.50,,"), lines.join("\n"));
  ok(lines.some((line) => line.startsWith("nobody,refused,false,,,,ACCOUNT_NOT_FOUND,")), lines.join("\n"));
  await page.goto("/finance/organizations/bulk-1");
  await page.getByRole("link", { name: "Convert to Prepaid" }).waitFor();
  equal(await page.getByRole("cell", { name: "Payment mode converted" }).count(), 1);
});

test("many are chosen by their names, stopped and gone on with, without JavaScript", { user: "boss", at: "quiet", javaScriptEnabled: false }, async (page, context) => {
  await page.goto(path);
  await page.getByLabel("Reason").fill("test");
  await page.getByRole("button", { name: "Look first" }).click();
  await page.getByRole("alert").getByText("Please choose at least one").waitFor();
  await page.getByLabel("Or all whose names begin with").fill("Customer bulk-3");
  await page.getByLabel("This limit for all").check();
  await page.getByLabel("Credit limit", { exact: true }).fill("25");
  await page.getByRole("button", { name: "Look first" }).click();
  const href = new URL(page.url()).pathname;
  const token = await page.locator("[name=token]").first().inputValue();
  const post = (what) => context.request.post(`${href}/${what}`, { form: { token }, headers: { origin: stage.urls.quiet }, maxRedirects: 0 });
  for (const what of ["stop", "resume"]) equal((await post(what)).status(), 303, what);
  equal((await post("else")).status(), 404);
  for (let tries = 0; tries < 50 && !(await page.getByText("Looked at", { exact: true }).count()); tries++) await page.reload();
  await page.getByRole("button", { name: "Convert them" }).click();
  for (let tries = 0; tries < 50 && !(await page.getByText("Done", { exact: true }).count()); tries++) await page.reload();
  await page.getByText("Converted: 1").waitFor();
  equal((await page.goto(`${path}/another`)).status(), 404);
});

test("a long list is stopped under way, stays so, and is gone on with by a click", { user: "boss", at: "quiet" }, async (page, context) => {
  await page.goto(path);
  const [token, request] = await Promise.all(["token", "request"].map((name) => page.locator(`main [name=${name}]`).first().inputValue()));
  const post = (to, form) => context.request.post(to, { form: { token, ...form }, headers: { origin: stage.urls.quiet }, maxRedirects: 0 });
  // To look at 10,000 takes far longer than another request, however busy the machine is. A page in between might take longer.
  const many = 10_000;
  const list = Array.from({ length: many }, (_, number) => `nobody-${number}`).join("\n");
  const begun = await post(path, { request, mode: "postpaid", list, "limit-kind": "keep", reason: "a long list" });
  const href = begun.headers().location;
  equal([begun.status(), (await post(`${href}/stop`)).status()], [303, 303]);
  await becomes(async () => { await page.goto(href); return page.getByText("Stopped", { exact: true }).count(); }, 1);
  const bar = page.getByRole("progressbar", { name: "Progress" });
  const before = Number(await bar.getAttribute("value"));
  ok(before < many, `${before} were looked at before it was stopped`);
  await looked(page, "bulk-stopped");
  await page.reload();
  equal(Number(await bar.getAttribute("value")), before, "it stays so");
  await page.getByRole("button", { name: "Go on" }).click();
  await becomes(async () => Number(await bar.getAttribute("value")) > before, true);
  equal((await post(`${href}/stop`)).status(), 303);
});

test("who may not convert converts not many either", { user: "reader", at: "office" }, async (page, context) => {
  await page.goto("/");
  equal(await page.getByRole("link", { name: "Bulk convert" }).count(), 0);
  equal((await page.goto(path)).status(), 403);
  await page.goto("/you");
  const token = await page.locator("[name=token]").first().inputValue();
  const form = { token, request: "x", list: "hafen", reason: "x" };
  equal((await context.request.post(path, { form, headers: { origin: stage.urls.office } })).status(), 403);
});
