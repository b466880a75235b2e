import { test, equal, linkOf, looked, ok, recorded, stage } from "./browser.mjs";

async function open(page, tab) {
  await page.goto("/");
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Users and keys" }).click();
  await page.getByRole("heading", { name: "Users", level: 1 }).waitFor();
  if (tab !== "Users") await page.getByRole("navigation", { name: "Users and keys" }).getByRole("link", { name: tab }).click();
  await page.getByRole("heading", { name: tab, level: 1 }).waitFor();
}

test("a user is created, signs in by the link, is given another role, and is disabled", { user: "admin", at: "quiet" }, async (page, context) => {
  await open(page, "Users");
  await looked(page, "settings-users");
  const create = page.getByRole("button", { name: "Create a user" });
  await page.getByLabel("Name", { exact: true }).fill("role-read");
  await page.getByLabel("Reason").fill("a new colleague");
  await create.click();
  await page.getByRole("alert").getByText("Roles: Please choose").waitFor();
  await looked(page, "settings-users-wrong");
  await page.getByRole("checkbox", { name: /^read/ }).check();
  await create.click();
  await page.getByRole("alert").getByText("There is a user of this name already").waitFor();
  await looked(page, "settings-users-refused");
  await page.getByLabel("Name", { exact: true }).fill("carla");
  await page.getByLabel("Accounts").fill("globex");
  await create.click();
  await page.getByRole("heading", { name: "Link for carla" }).waitFor();
  await looked(page, "settings-user-link");
  const link = await page.locator(".secret").innerText();

  const elsewhere = await context.browser().newContext({ baseURL: stage.urls.quiet, locale: "en-GB" });
  const carla = await elsewhere.newPage();
  await carla.goto(link);
  await carla.getByRole("button", { name: "Sign in by this link" }).click();
  await carla.getByRole("link", { name: "Organization Management" }).waitFor();
  equal((await carla.goto("/finance/organizations/hooli")).status(), 403, "she is bound to one account");
  equal((await carla.goto("/finance/organizations/globex/top-up")).status(), 403, "she may only read");

  await page.getByRole("link", { name: "To the user" }).click();
  await page.getByText("No password yet").waitFor();
  await page.getByRole("checkbox", { name: /^operate/ }).check();
  await page.getByLabel("Reason").first().fill("she has learned");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("The user was changed").waitFor();
  await looked(page, "settings-user");
  equal((await carla.goto("/finance/organizations/globex/top-up")).status(), 200, "she may top up now");

  await page.getByRole("region", { name: "New link" }).getByLabel("Reason").fill("she has no password");
  await page.getByRole("button", { name: "New link" }).click();
  await page.getByRole("heading", { name: "Link for carla" }).waitFor();
  const other = await page.locator(".secret").innerText();
  ok(other !== link, "it is another link");
  await page.goto("/settings/users/carla");
  await page.getByRole("region", { name: "Disable" }).getByLabel("Reason").fill("she has left");
  await page.getByRole("button", { name: "Disable" }).click();
  await page.getByRole("heading", { name: /Disabled/ }).waitFor();
  await looked(page, "settings-user-disabled");
  ok((await carla.goto("/you")).url().includes("/sign-in"), "her session has ended");
  await carla.goto(other);
  await carla.getByText("has been used already").waitFor();
  await elsewhere.close();
  await page.getByRole("region", { name: "Let it sign in again" }).getByLabel("Reason").fill("she is back");
  await page.getByRole("button", { name: "Let it sign in again" }).click();
  await page.getByText("The user was changed").waitFor();

  await recorded(page, "user.access_set", "she has learned");
  for (const action of ["user.created", "user.invited", "user.disabled", "user.enabled"]) await recorded(page, action, "name: carla");
});

test("nobody changes what they may do themselves", { user: "admin", at: "quiet" }, async (page, context) => {
  await page.goto("/settings/users/first");
  await page.getByText("This is you").waitFor();
  equal(await page.locator("main form").count(), 0);
  await looked(page, "settings-user-own");
  await page.goto("/settings/users/boss");
  const fields = await page.locator("main form").first().evaluate((form) => Object.fromEntries(new FormData(form)));
  const form = { ...fields, reason: "I want more" };
  const answer = await context.request.post("/settings/users/first/access", { form, headers: { origin: stage.urls.quiet }, maxRedirects: 0 });
  equal(answer.status(), 409);
  equal((await page.goto("/settings/users/nobody")).status(), 404);
});

test("a key is shown once, known by its beginning, and revoked", { user: "admin", at: "quiet" }, async (page, context) => {
  await open(page, "Keys and certificates");
  await page.getByText("There are none in the billing store").waitFor();
  await page.getByText("everybody who reaches it may do everything").waitFor();
  await looked(page, "settings-keys-empty");
  const create = page.getByRole("button", { name: "Let a caller in" });
  await page.getByLabel("Name", { exact: true }).fill("checkout");
  await page.getByRole("checkbox", { name: /^charge/ }).check();
  await page.getByLabel("Last day").fill("2020-01-01");
  await page.getByLabel("Reason").fill("the shop charges");
  await create.click();
  await page.getByRole("alert").getByText("must not be over").waitFor();
  await looked(page, "settings-keys-wrong");
  await page.getByLabel("Last day").fill("");
  const sent = page.waitForRequest((request) => request.method() === "POST");
  await create.click();
  await page.getByRole("heading", { name: "Key checkout" }).waitFor();
  const key = await page.locator(".secret").innerText();
  ok(/^tg_[\w-]{8}_[\w-]{43}$/.test(key), key);
  await looked(page, "settings-key-made");
  const form = { data: (await sent).postData(), headers: { origin: stage.urls.quiet, "content-type": "application/x-www-form-urlencoded" } };
  const again = await (await context.request.post("/settings/keys", form)).text();
  ok(/not shown again/.test(again) && !again.includes(key), "the same again shows no key");

  await page.getByRole("link", { name: "To the key" }).click();
  await page.getByText(key.slice(0, 12)).waitFor();
  ok(!(await page.content()).includes(key), "the key is not kept");
  await looked(page, "settings-key");
  await page.goto("/settings/keys");
  equal(await page.getByText("everybody who reaches it may do everything").count(), 0, "with the first key, who is not named is refused");
  await page.getByText(`${key.slice(0, 12)}…`).waitFor();
  await page.getByLabel("Name", { exact: true }).fill("checkout");
  await page.getByRole("checkbox", { name: /^charge/ }).check();
  await page.getByLabel("Reason").fill("another");
  await create.click();
  await page.getByRole("alert").getByText("There is one of this name already").waitFor();
  await page.getByLabel("A client certificate").check();
  await page.getByLabel("Name", { exact: true }).fill("spiffe://nordlicht.example/shop?a=1&b");
  await create.click();
  await page.getByText("The certificate is let in").waitFor();
  await looked(page, "settings-keys");
  for (const name of ["checkout", "spiffe://nordlicht.example/shop?a=1&b"]) {
    await page.getByRole("link", { name }).click();
    await page.getByLabel("Reason").fill("no longer used");
    await page.getByRole("button", { name: "Revoke" }).click();
    await page.getByText("Revoked. Every process").waitFor();
    await page.getByRole("heading", { name: /Revoked/ }).waitFor();
    equal(await page.getByRole("button", { name: "Revoke" }).count(), 0);
    await page.getByRole("link", { name: "Keys and certificates" }).first().click();
  }
  equal((await page.goto("/settings/keys/key?name=nobody")).status(), 404);
  equal((await page.goto("/settings/keys/other?name=checkout")).status(), 404);
  await page.goto("/settings/audit?action=access.key_revoked");
  await page.getByText("no longer used").waitFor();

  // The last that lets in others goes only by a user who can sign in again.
  await page.goto("/settings/keys");
  await page.getByLabel("Name", { exact: true }).fill("last");
  await page.getByRole("checkbox", { name: /^admin/ }).check();
  await page.getByLabel("Reason").fill("to let in others");
  await create.click();
  await page.getByRole("heading", { name: "Key last" }).waitFor();
  const elsewhere = await context.browser().newContext({ baseURL: stage.urls.quiet, locale: "en-GB" });
  const keeper = await elsewhere.newPage();
  keeper.setDefaultTimeout(60_000);
  await keeper.goto(await linkOf("keeper", "quiet"));
  await keeper.getByRole("button", { name: "Sign in by this link" }).click();
  await keeper.getByRole("link", { name: "Organization Management" }).waitFor();
  const revoke = async () => {
    await keeper.goto("/settings/keys/key?name=last");
    await keeper.getByLabel("Reason").fill("it was lost");
    await keeper.getByRole("button", { name: "Revoke" }).click();
  };
  await revoke();
  await keeper.getByRole("alert").getByText("Set a password").waitFor();
  await looked(keeper, "settings-key-last");
  await keeper.goto("/you");
  await keeper.getByLabel("New password", { exact: true }).fill("a sentence of the keeper");
  await keeper.getByLabel("New password, again").fill("a sentence of the keeper");
  await keeper.getByRole("button", { name: "Save" }).click();
  await keeper.getByText("The password has been set").waitFor();
  await revoke();
  await keeper.getByText("Revoked. Every process").waitFor();
  await elsewhere.close();
});

test("who may only see who is let in changes nothing", { user: "role-audit", at: "quiet" }, async (page) => {
  await open(page, "Users");
  equal(await page.locator("main form").count(), 0);
  await page.getByRole("link", { name: "boss" }).click();
  await page.getByRole("heading", { name: "boss" }).waitFor();
  equal(await page.locator("main form").count(), 0);
});
