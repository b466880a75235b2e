import { spawn } from "node:child_process";
import { test, equal, looked, stage } from "./browser.mjs";

/** Keeps others from writing to a SQLite file, until it is let go. */
async function locked(file) {
  const hold = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=30); c.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()";
  const child = spawn("python3", ["-c", hold, file], { stdio: ["pipe", "pipe", "inherit"] });
  await new Promise((resolve, reject) => { child.stdout.once("data", resolve); child.once("exit", () => reject(new Error("not locked"))); });
  return () => new Promise((resolve) => { child.once("exit", resolve); child.stdin.end(); });
}

test("a form of which nobody knows what became is sent again under the same request id", { user: "admin", at: "quiet" }, async (page) => {
  await page.goto("/finance/organizations/globex/details");
  const form = page.locator("main form");
  const request = await form.locator("[name=request]").inputValue();
  await page.getByLabel("Name", { exact: true }).fill("Globex <Holding>");
  await page.getByLabel("Address").fill("Ring 1\n20095 Hamburg");
  const unlock = await locked(stage.files.quiet);
  try {
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Whether it was done is not known").waitFor();
    equal(await form.locator("[name=request]").inputValue(), request, "the request id");
    await looked(page, "send-again");
  } finally {
    await unlock();
  }
  await page.getByRole("button", { name: "Send again" }).click();
  await page.getByText("The billing details were saved").waitFor();
  await page.locator("address").getByText("Globex <Holding>").waitFor();
  await page.locator("address").getByText("20095 Hamburg").waitFor();
});

test("a form of another day, and one with a request id of its own making, are not taken", { user: "admin", at: "quiet" }, async (page, context) => {
  await page.goto("/finance/organizations/globex/top-up");
  const token = await page.locator("[name=token]").first().inputValue();
  const post = (request) => context.request.post("/finance/organizations/globex/top-up", { form: { token, request, amount: "1" }, headers: { origin: stage.urls.quiet }, maxRedirects: 0 });
  equal((await post("forged")).status(), 422);
  // A UUID of version 7 of the year 2000.
  const old = await post("00dc6acf-ac00-7000-8000-000000000000");
  equal(old.status(), 409);
  equal(/This form is too old/.test(await old.text()), true);
});
