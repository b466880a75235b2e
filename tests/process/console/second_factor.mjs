import { createHmac } from "node:crypto";
import { createRequire } from "node:module";
import { test, equal, linkOf, looked, ok, recorded, stage } from "./browser.mjs";

const jsQR = createRequire(`${process.env.NODE_MODULES}/`)("jsqr");

const step = () => Math.floor(Date.now() / 30_000);

/** The code of a step of time, as an authenticator works it out (RFC 6238). */
function codeOf(secret, at) {
  const bits = [...secret].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(at));
  const digest = createHmac("sha1", key).update(counter).digest();
  const number = digest.readUInt32BE(digest.at(-1) & 15) & 0x7fffffff;
  return `${number % 1_000_000}`.padStart(6, "0");
}

/** What an authenticator reads from the picture. */
async function scanned(page) {
  const { data, width, height } = await page.locator("img.qr").evaluate(async (picture) => {
    await picture.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: picture.naturalWidth, height: picture.naturalHeight });
    const drawing = canvas.getContext("2d");
    drawing.drawImage(picture, 0, 0);
    return { data: [...drawing.getImageData(0, 0, canvas.width, canvas.height).data], width: canvas.width, height: canvas.height };
  });
  return new URL(jsQR(Uint8ClampedArray.from(data), width, height).data);
}

/** Sets a second factor up; returns its secret, the step whose code was used, and the recovery codes. */
async function setUp(page) {
  await page.getByRole("button", { name: "Set up a second factor" }).click();
  const secret = (await page.locator(".secret").innerText()).replaceAll(" ", "");
  const used = step();
  await page.getByLabel("Code", { exact: true }).fill(codeOf(secret, used));
  await page.getByRole("button", { name: "Switch on" }).click();
  await page.getByRole("heading", { name: "Recovery codes" }).waitFor();
  return { secret, used, recovery: await page.locator(".codes li").allInnerTexts() };
}

async function signIn(page, name, password) {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("please show your second factor").waitFor();
}

async function show(page, code) {
  await page.getByLabel("Code", { exact: true }).fill(code);
  await page.keyboard.press("Enter");
}

test("a second factor is set up, asked for, and switched off", { user: "dora" }, async (page, context) => {
  await page.goto("/you");
  await page.getByLabel("New password", { exact: true }).fill("a sentence of Dora");
  await page.getByLabel("New password, again").fill("a sentence of Dora");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("The password has been set").waitFor();
  const elsewhere = await context.browser().newContext({ baseURL: stage.urls.main, locale: "en-GB" });
  const other = await elsewhere.newPage();
  await other.goto("/sign-in?to=/you");
  await other.getByLabel("Name").fill("dora");
  await other.getByLabel("Password").fill("a sentence of Dora");
  await other.getByRole("button", { name: "Sign in" }).click();
  await other.getByRole("heading", { name: "dora" }).waitFor();
  await page.getByRole("link", { name: "Set up a second factor" }).click();
  await looked(page, "second-factor-off");
  await page.getByLabel("Current password").fill("a sentence of somebody else");
  await page.getByRole("button", { name: "Set up a second factor" }).click();
  await page.getByRole("alert").getByText("is not the current password").waitFor();
  await page.getByLabel("Current password").fill("a sentence of Dora");
  await page.getByRole("button", { name: "Set up a second factor" }).click();
  await page.getByRole("heading", { name: "Add it to your authenticator" }).waitFor();
  const secret = (await page.locator(".secret").innerText()).replaceAll(" ", "");
  const url = await scanned(page);
  equal([url.protocol, decodeURIComponent(url.pathname).endsWith(":dora"), url.searchParams.get("secret")], ["otpauth:", true, secret]);
  await looked(page, "second-factor-offered");
  await page.getByLabel("Code", { exact: true }).fill("000000");
  await page.getByRole("button", { name: "Switch on" }).click();
  await page.getByRole("alert").getByText("is wrong, or has been used already").waitFor();
  await looked(page, "second-factor-wrong");
  const used = step();
  await page.getByLabel("Code", { exact: true }).fill(codeOf(secret, used));
  const sent = page.waitForRequest((request) => request.method() === "POST");
  await page.getByRole("button", { name: "Switch on" }).click();
  await page.getByText("The second factor is on").waitFor();
  await looked(page, "recovery-codes");
  // The form that is sent once more shows codes once more: the page that is seen is the one that counts.
  const first = await page.locator(".codes li").allInnerTexts();
  equal([first.length, new Set(first).size], [10, 10]);
  const again = { data: (await sent).postData(), headers: { origin: stage.urls.main, "content-type": "application/x-www-form-urlencoded" } };
  const shown = await (await context.request.post("/you/second-factor/confirm", again)).text();
  const recovery = [...shown.matchAll(/<li><code>([^<]*)</g)].map(([, code]) => code);
  equal([recovery.length, recovery.includes(first[0])], [10, false]);
  await page.getByRole("link", { name: "I have kept them" }).click();
  await page.goto("/you/second-factor");
  await page.getByText("10 recovery codes are left").waitFor();
  ok(!(await page.content()).includes(secret), "the secret is not shown again");
  await looked(page, "second-factor-on");
  const admin = await context.browser().newContext({ baseURL: stage.urls.main, locale: "en-GB", storageState: await signedIn(context, "erika") });
  const hers = await admin.newPage();
  await hers.goto("/settings/users/dora");
  await hers.getByRole("button", { name: "Reset the second factor" }).waitFor();
  await looked(hers, "user-with-second-factor");
  // What was begun without it has ended.
  await other.goto("/you");
  await other.getByRole("heading", { name: "Sign in" }).waitFor();

  // Its code has been used when it was confirmed; the next one is taken, once.
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await signIn(page, "dora", "a sentence of Dora");
  await looked(page, "sign-in-code");
  equal((await page.goto("/you")).url(), `${stage.urls.main}/sign-in?to=%2Fyou`, "nobody has signed in yet");
  await signIn(page, "dora", "a sentence of Dora");
  await show(page, codeOf(secret, used));
  await page.getByRole("alert").getByText("has been used already").waitFor();
  await looked(page, "sign-in-code-wrong");
  await show(page, codeOf(secret, used + 1));
  await page.getByRole("heading", { name: "dora" }).waitFor();
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await signIn(page, "dora", "a sentence of Dora");
  await show(page, codeOf(secret, used + 1));
  await page.getByRole("alert").getByText("has been used already").waitFor();

  // A recovery code signs in, once, however it is typed.
  await show(page, recovery[3].toLowerCase().replaceAll("-", " "));
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await signIn(page, "dora", "a sentence of Dora");
  await show(page, recovery[3]);
  await page.getByRole("alert").getByText("has been used already").waitFor();
  await show(page, recovery[4]);
  await page.getByRole("button", { name: "Sign out", exact: true }).waitFor();
  await page.goto("/you/second-factor");
  await page.getByText("8 recovery codes are left").waitFor();
  await page.getByLabel("Code", { exact: true }).first().fill(recovery[5]);
  await page.getByRole("button", { name: "Make new recovery codes" }).click();
  await page.getByRole("heading", { name: "Recovery codes" }).waitFor();
  const renewed = await page.locator(".codes li").allInnerTexts();
  await page.goto("/you/second-factor");
  await page.getByLabel("Code", { exact: true }).last().fill(recovery[6]);
  await page.getByRole("button", { name: "Switch off" }).click();
  await page.getByRole("alert").getByText("is wrong, or has been used already").waitFor();
  await page.getByLabel("Code", { exact: true }).last().fill(renewed[0]);
  await page.getByRole("button", { name: "Switch off" }).click();
  await page.getByText("The second factor is off").waitFor();
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.getByLabel("Name").fill("dora");
  await page.getByLabel("Password").fill("a sentence of Dora");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Sign out", exact: true }).waitFor();

  // All of it is on record, and no secret is.
  let told = "";
  for (const action of ["second_factor_on", "recovery_code_used", "recovery_codes_made", "second_factor_off", "signed_in"]) {
    await recorded(hers, `console.${action}`, "dora");
    told += await hers.content();
  }
  told += await (await admin.request.get("/settings/audit.csv")).text();
  ok(told.includes("password and recovery code"), "how somebody signed in");
  for (const one of [secret, codeOf(secret, used + 1), ...recovery, ...renewed]) ok(!told.includes(one), `${one} is on record`);
  await admin.close();
  await elsewhere.close();
});

/** What the browser of a user keeps who signs in by a link that was made for this. */
async function signedIn(context, user) {
  const made = await context.browser().newContext({ baseURL: stage.urls.main, locale: "en-GB" });
  const page = await made.newPage();
  await page.goto(await linkOf(user));
  await page.getByRole("button", { name: "Sign in by this link" }).click();
  await page.getByRole("button", { name: "Sign out", exact: true }).waitFor();
  const state = await made.storageState();
  await made.close();
  return state;
}

test("where a second factor is required, nothing else is open without it, and an administrator resets one that was lost", { at: "strict", javaScriptEnabled: false }, async (page, context) => {
  await page.goto(await linkOf("admin", "strict"));
  await page.getByRole("button", { name: "Sign in by this link" }).click();
  await page.getByText("A second factor is required here").waitFor();
  equal(new URL(page.url()).pathname, "/you/second-factor");
  equal(await page.getByRole("navigation", { name: "Main" }).getByRole("link").count(), 0);
  for (const path of ["/you", "/settings/users", "/finance/organizations.csv"]) {
    equal(new URL((await page.goto(path)).url()).pathname, "/you/second-factor", path);
  }
  const token = await page.locator("[name=token]").first().inputValue();
  const form = { form: { token, name: "mallory", role: "admin", reason: "none" }, headers: { origin: stage.urls.strict }, maxRedirects: 0 };
  equal((await context.request.post("/settings/users", form)).headers().location, "/you/second-factor");
  await setUp(page);
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Users and keys" }).click();
  await page.getByRole("row", { name: /frida/ }).getByRole("cell", { name: "Off" }).waitFor();
  equal(await page.getByRole("row", { name: /mallory/ }).count(), 0);

  // Frida has no password: her link asks for the code, too.
  const elsewhere = await context.browser().newContext({ baseURL: stage.urls.strict, locale: "en-GB" });
  const frida = await elsewhere.newPage();
  await frida.goto(await linkOf("frida", "strict"));
  await frida.getByRole("button", { name: "Sign in by this link" }).click();
  const hers = await setUp(frida);
  await frida.goto("/you/second-factor");
  await frida.getByText("you set up another one").waitFor();
  await page.getByRole("link", { name: "frida" }).click();
  const link = async () => {
    await page.getByLabel("Reason").nth(1).fill("she has asked for it");
    await page.getByRole("button", { name: "New link" }).click();
    const url = await page.locator(".secret").innerText();
    await page.getByRole("link", { name: "To the user" }).click();
    return url;
  };
  const asked = await elsewhere.newPage();
  await elsewhere.clearCookies();
  await asked.goto(await link());
  await asked.getByRole("button", { name: "Sign in by this link" }).click();
  await asked.getByText("frida, please show your second factor").waitFor();
  // Who guesses is slowed down, as with passwords.
  const isRefused = () => asked.getByText("Too many attempts").isVisible();
  for (let attempt = 0; attempt < 15 && !(await isRefused()); attempt++) {
    const answered = asked.waitForEvent("load");
    await show(asked, codeOf(hers.secret, 1000 + attempt));
    await answered;
  }
  ok(await isRefused(), "nobody is slowed down");
  equal((await asked.goto("/you")).url(), `${stage.urls.strict}/sign-in?to=%2Fyou`);

  await page.getByLabel("Reason").last().fill("her phone is lost");
  await page.getByRole("button", { name: "Reset the second factor" }).click();
  await page.getByText("The user was changed").waitFor();
  equal(await page.getByRole("button", { name: "Reset the second factor" }).count(), 0);
  await asked.goto("/sign-in/code");
  await asked.getByRole("heading", { name: "Sign in" }).waitFor();
  await asked.goto(await link());
  await asked.getByRole("button", { name: "Sign in by this link" }).click();
  await asked.getByRole("heading", { name: "Set up a second factor" }).waitFor();
  await recorded(page, "user.second_factor_reset", "her phone is lost");
  await elsewhere.close();
});

test("the pages of the second factor speak German", { user: "dieter", locale: "de-DE" }, async (page) => {
  await page.goto("/you/second-factor");
  await page.getByRole("button", { name: "Zweiten Faktor einrichten" }).click();
  await page.getByRole("heading", { name: "In den Authenticator aufnehmen" }).waitFor();
  await looked(page, "second-factor-offered-de");
});
