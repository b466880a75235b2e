import { test, becomes, equal, looked, recorded, stage } from "./browser.mjs";

const options = { at: "provided", ignoreHTTPSErrors: true };

/** Goes to the provider, and logs in there as somebody in groups. */
async function logIn(page, name, to = "/sign-in") {
  await page.goto(to);
  await page.getByRole("link", { name: /^Sign in at/ }).click();
  await page.getByLabel("Login").fill(name);
  await page.getByRole("button", { name: "Log in" }).click();
}

/** The same in a browser of its own. */
async function elsewhere(context) {
  const made = await context.browser().newContext({ baseURL: stage.urls.provided, ignoreHTTPSErrors: true, locale: "en-GB" });
  made.setDefaultTimeout(60_000);
  return made;
}

test("people sign in at an identity provider, with the roles that it gives them", options, async (page, context) => {
  await page.goto("/finance/organizations");
  await page.getByRole("link", { name: /^Sign in at/ }).waitFor();
  await looked(page, "sign-in-provider");
  await logIn(page, "carol+readers", "/sign-in?to=/finance/organizations?q=acme");
  await page.getByRole("heading", { name: "Organization Management" }).waitFor();
  equal(new URL(page.url()).search, "?q=acme", "where she wanted to go");
  equal((await page.goto("/settings/users")).status(), 403, "she may only read");
  await page.getByRole("link", { name: "carol" }).click();
  await page.getByText("it looks after your password").waitFor();
  equal(await page.getByLabel("New password", { exact: true }).count(), 0);
  await looked(page, "you-provider");
  const token = await page.locator("[name=token]").first().inputValue();
  const post = (path, form) => context.request.post(path, { headers: { origin: stage.urls.provided }, form: { token, ...form }, maxRedirects: 0 });
  equal((await post("/you/password", { new: "a sentence of mine", again: "a sentence of mine" })).status(), 403, "she sets no password");
  equal((await post("/you/second-factor/begin", {})).status(), 404, "and no second factor");

  // Signing out here leaves the session at the provider, which the page says.
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.getByText("you may still be signed in").waitFor();
  await looked(page, "signed-out-provider");
  await page.getByRole("link", { name: /^Sign in at/ }).click();
  await page.getByRole("button", { name: "Sign out everywhere" }).or(page.getByRole("heading", { name: "Organization Management" })).first().waitFor();
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.getByRole("link", { name: /^Sign out at/ }).click();
  await page.getByRole("button", { name: /Yes, sign me out/ }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.getByRole("link", { name: /^Sign in at/ }).click();
  await page.getByLabel("Login").waitFor();
});

test("what a provider takes away counts at the next sign-in, and nobody is joined by a name", options, async (page, context) => {
  await logIn(page, "dave+readers+operators");
  await page.getByRole("link", { name: "Bulk convert" }).waitFor();
  const second = await elsewhere(context);
  const other = await second.newPage();
  await logIn(other, "dave+readers");
  await other.getByRole("heading", { name: "Organization Management" }).waitFor();
  equal(await other.getByRole("link", { name: "Bulk convert" }).count(), 0);
  await page.goto("/finance/organizations");
  equal(await page.getByRole("link", { name: "Bulk convert" }).count(), 0, "in all sessions");
  await second.close();
  const third = await elsewhere(context);
  const last = await third.newPage();
  await logIn(last, "dave");
  await last.getByRole("alert").getByText("gives you no role").waitFor();
  await looked(last, "sign-in-without-role");
  await third.close();
  const ours = await elsewhere(context);
  const auditor = await ours.newPage();
  await logIn(auditor, "aude+admins");
  await auditor.getByRole("link", { name: "Users and keys" }).waitFor();
  const told = async () => (await (await ours.request.get("/settings/audit.csv?action=user.access_set")).text()).split("\n").find((line) => /dave/.test(line) && /after[^\]]*\[\]/.test(line));
  await becomes(async () => Boolean(await told()), true);
  await ours.close();
  await page.goto("/you");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  const fourth = await elsewhere(context);
  const named = await fourth.newPage();
  await logIn(named, "root+readers");
  await named.getByRole("alert").getByText("another user called root").waitFor();
  equal((await named.goto("/you")).url(), `${stage.urls.provided}/sign-in?to=%2Fyou`);
  await fourth.close();
});

test("an administrator sees and disables users of a provider, and gives them neither roles nor links", options, async (page, context) => {
  await logIn(page, "anna+admins");
  await page.getByRole("link", { name: "Users and keys" }).waitFor();
  const hers = await elsewhere(context);
  const erin = await hers.newPage();
  await logIn(erin, "erin+readers");
  await erin.getByRole("heading", { name: "Organization Management" }).waitFor();
  await page.goto("/settings/users");
  await page.getByRole("link", { name: "erin" }).click();
  await page.getByText("This user signs in at").waitFor();
  equal(await page.getByRole("button").filter({ hasText: /New link|Save/ }).count(), 0);
  await looked(page, "user-provider");
  const token = await page.locator("[name=token]").first().inputValue();
  for (const [what, form] of [["link", {}], ["access", { role: "admin" }]]) {
    const sent = { token, request: await page.locator("[name=request]").first().inputValue(), reason: "a try", ...form };
    const refused = await context.request.post(`/settings/users/erin/${what}`, { headers: { origin: stage.urls.provided }, form: sent });
    equal([refused.status(), /identity provider, which says/.test(await refused.text())], [409, true], what);
  }
  await page.getByLabel("Reason").last().fill("she has left");
  await page.getByRole("button", { name: "Disable" }).click();
  await page.getByText("The user was changed").waitFor();
  await erin.goto("/you");
  await erin.getByRole("link", { name: /^Sign in at/ }).click();
  await erin.getByRole("alert").getByText("may not sign in here any more").waitFor();
  await recorded(page, "console.signed_in", "erin");
  await hers.close();
});

test("what a provider refuses, and what is wrong with its tokens, lets nobody in", { ...options, javaScriptEnabled: false }, async (page, context) => {
  await page.goto("/sign-in");
  await page.getByRole("link", { name: /^Sign in at/ }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("alert").getByText("access_denied: End-User aborted interaction").waitFor();
  for (const fault of ["expired", "nonce", "audience", "issuer", "foreign"]) {
    const made = await elsewhere(context);
    const one = await made.newPage();
    await logIn(one, `${fault}-mallory+operators`);
    await one.getByRole("alert").getByText("could not be believed").waitFor();
    equal((await one.goto("/you")).url(), `${stage.urls.provided}/sign-in?to=%2Fyou`, fault);
    await made.close();
  }
  // A browser that did not begin it, a state of another, the same answer twice.
  const made = await elsewhere(context);
  const one = await made.newPage();
  const back = one.waitForRequest((request) => request.url().includes("/sign-in/provider/callback"));
  await logIn(one, "frank+readers");
  await one.getByRole("heading", { name: "Organization Management" }).waitFor();
  const url = (await back).url();
  const stranger = await elsewhere(context);
  const other = await stranger.newPage();
  equal((await other.goto(url)).status(), 403, "a browser that did not begin it");
  await other.getByRole("alert").getByText("was not begun in this browser").waitFor();
  await other.getByRole("link", { name: /^Sign in at/ }).click();
  await other.getByLabel("Login").waitFor();
  equal((await other.goto(url)).status(), 403, "one that began another");
  equal((await other.goto(url.replace(/state=[^&]*/, "state="))).status(), 403, "without a state");
  await stranger.close();
  equal((await one.goto(url)).status(), 403, "the same answer twice");
  const cookies = await made.cookies();
  equal(cookies.filter(({ name, domain }) => name.startsWith("tollgate") && domain === "127.0.0.1").map(({ httpOnly, sameSite }) => [httpOnly, sameSite]), [[true, "Lax"]]);
  await made.close();
  // It leads nowhere else afterwards.
  const last = await elsewhere(context);
  const led = await last.newPage();
  await logIn(led, "grace+readers", "/sign-in?to=//evil.example/");
  await led.getByRole("heading", { name: "Organization Management" }).waitFor();
  equal(new URL(led.url()).origin, stage.urls.provided);
  await last.close();
});

test("nobody signs in by a password where only the provider does", options, async (page, context) => {
  await page.goto("/sign-in");
  equal(await page.getByLabel("Password").count(), 0);
  const form = { name: "root", password: "whatever it may be" };
  const refused = await context.request.post("/sign-in", { headers: { origin: stage.urls.provided }, form });
  equal([refused.status(), /Nobody signs in by a password/.test(await refused.text())], [403, true]);
});

test("a provider that is away is named", { at: "away", locale: "de-DE" }, async (page) => {
  await page.goto("/sign-in");
  await page.getByLabel("Passwort").waitFor();
  await page.getByRole("link", { name: /^Bei .* anmelden$/ }).click();
  await page.getByRole("alert").getByText("ist nicht erreichbar").waitFor();
  await looked(page, "sign-in-provider-away-de");
});
