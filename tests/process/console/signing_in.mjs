import { test, equal, ok, linkOf, looked, stage } from "./browser.mjs";

test("who has not signed in is asked to, and comes to where they wanted to go", {}, async (page) => {
  await page.goto("/finance/organizations?q=acme");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await looked(page, "sign-in");
  await page.getByLabel("Name").fill("nobody");
  await page.getByLabel("Password").fill("what it may be");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").getByText("do not belong together").waitFor();
  await looked(page, "sign-in-wrong");
});

test("a link signs in once, a password is set, and signs in again", {}, async (page, context) => {
  // What only fetches the link, as mail scanners do, does not use it up.
  const hers = await linkOf("alice");
  equal((await context.request.get(hers)).status(), 200);
  const elsewhere = { headers: { origin: "https://evil.example" }, form: {}, maxRedirects: 0 };
  equal((await context.request.post(hers, elsewhere)).status(), 403, "another site signs nobody in");
  await page.goto(hers);
  await page.getByText("The link is for alice").waitFor();
  await looked(page, "sign-in-link");
  await page.keyboard.press("Enter");
  await page.getByRole("link", { name: "alice" }).click();
  await page.getByText("You have signed in by a link").waitFor();
  await looked(page, "you");
  const set = page.getByRole("button", { name: "Save" });
  await page.getByLabel("New password", { exact: true }).fill("a sentence of mine");
  await page.getByLabel("New password, again").fill("a sentence of yours");
  await set.click();
  await page.getByRole("alert").getByText("must be the same").waitFor();
  await looked(page, "you-wrong");
  await page.getByLabel("New password", { exact: true }).fill("a sentence of mine");
  await page.getByLabel("New password, again").fill("a sentence of mine");
  await set.click();
  await page.getByText("The password has been set").waitFor();
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.goBack();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  equal((await page.goto("/you")).url(), `${stage.urls.main}/sign-in?to=%2Fyou`);
  await page.getByLabel("Name").fill("alice");
  await page.getByLabel("Password").fill("a sentence of mine");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "alice" }).waitFor();
  // The link has been used.
  const other = await context.browser().newContext();
  const stranger = await other.newPage();
  await stranger.goto(hers);
  await stranger.getByText("has been used already").waitFor();
  await other.close();
  await page.getByRole("button", { name: "Sign out everywhere" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
});

test("who guesses a password is slowed down", {}, async (page) => {
  await page.goto("/sign-in");
  const isRefused = () => page.getByText("Too many attempts").isVisible();
  // Five are free; each one after them doubles the wait, which soon is longer than the next attempt takes.
  for (let attempt = 0; attempt < 15 && !(await isRefused()); attempt++) {
    await page.getByLabel("Name").fill("guessed");
    await page.getByLabel("Password").fill(`guess number ${attempt}`);
    // The alert of the attempt before is still there until the next page is.
    const answered = page.waitForEvent("load");
    await page.getByRole("button", { name: "Sign in" }).click();
    await answered;
    ok(attempt >= 5 || !(await isRefused()), "five attempts are free");
  }
  ok(await isRefused(), "nobody is slowed down");
});

test("the console speaks the language of the browser, until another is chosen", { user: "erika", locale: "de-DE" }, async (page) => {
  await page.goto("/");
  await page.getByRole("heading", { name: "Organisationen verwalten" }).waitFor();
  equal(await page.getAttribute("html", "lang"), "de");
  await looked(page, "organizations-de");
  await page.getByRole("button", { name: "English" }).click();
  await page.getByRole("heading", { name: "Organization Management" }).waitFor();
  await page.getByRole("button", { name: "Deutsch" }).click();
  await page.getByRole("heading", { name: "Organisationen verwalten" }).waitFor();
});

test("what there is not is said within the frame", { user: "admin" }, async (page) => {
  equal((await page.goto("/nothing-here")).status(), 404);
  await page.getByRole("heading", { name: "There is no such page" }).waitFor();
  await page.getByRole("navigation").waitFor();
  await looked(page, "not-found");
});

test("pages of other sites can do nothing, under whatever name", { user: "admin" }, async (page, context) => {
  await page.goto("/you");
  const token = await page.locator("[name=token]").first().inputValue();
  const post = (headers, form) => context.request.post("/language", { headers, form, maxRedirects: 0 });
  const own = { origin: stage.urls.main };
  equal((await post(own, { token, language: "en", to: "/you" })).status(), 303, "its own form");
  equal((await post(own, { language: "en", to: "/you" })).status(), 403, "without the token");
  equal((await post(own, { token: `${token}x`, language: "en", to: "/you" })).status(), 403, "with another token");
  equal((await post({}, { token, language: "en" })).status(), 403, "without an origin");
  equal((await post({ origin: "https://evil.example" }, { token })).status(), 403, "of another origin");
  equal((await post({ origin: "null" }, { token })).status(), 403, "of an opaque origin");
  equal((await post({ ...own, "sec-fetch-site": "cross-site" }, { token })).status(), 403, "of another site");
  const host = new URL(stage.urls.main).host;
  equal((await context.request.get("/you", { headers: { host: `evil.example:${host.split(":")[1]}` }, maxRedirects: 0 })).status(), 403, "by another name");
  equal((await context.request.post("/language", { headers: own, data: { token } })).status(), 403, "as JSON");
  equal((await context.request.post("/language", { headers: own, form: { token, language: "x".repeat(70_000) } })).status(), 413, "too large");
  const headers = (await context.request.get("/you")).headers();
  equal(headers["cache-control"], "no-store");
  equal(headers["x-content-type-options"], "nosniff");
  equal(headers["referrer-policy"], "no-referrer");
  ok(/default-src 'none'/.test(headers["content-security-policy"]) && /frame-ancestors 'none'/.test(headers["content-security-policy"]), "the policy");
  ok(!/unsafe/.test(headers["content-security-policy"]), "nothing inline");
});
