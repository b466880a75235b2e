// A real identity provider (npm's oidc-provider) for the tests of signing in. What it knows is on its first line of input; people are in
// whatever groups their name says: "carol+finance+read". A token of somebody whose name begins with a fault has that fault.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.NODE_MODULES}/`);
const module = (name) => import(pathToFileURL(require.resolve(name)).href);
const { default: Provider } = await module("oidc-provider");
const { SignJWT, decodeJwt, exportJWK, generateKeyPair, importJWK } = await module("jose");

const settings = JSON.parse(await new Promise((resolve) => createInterface(process.stdin).once("line", resolve)));
const { privateKey } = await generateKeyPair("ES256", { extractable: true });
const key = { ...(await exportJWK(privateKey)), kid: "first", alg: "ES256", use: "sig" };
const { privateKey: foreign } = await generateKeyPair("ES256", { extractable: true });

const claims = (name) => ({
  sub: `id-of-${name.split("+")[0]}`,
  preferred_username: name.split("+")[0],
  groups: name.split("+").slice(1),
});
const people = new Map();

const provider = new Provider(settings.issuer, {
  clients: [
    {
      client_id: "console",
      client_secret: settings.secret,
      redirect_uris: settings.redirects,
      post_logout_redirect_uris: settings.after,
      id_token_signed_response_alg: "ES256",
    },
  ],
  jwks: { keys: [key] },
  cookies: { keys: ["of the tests"] },
  claims: { openid: ["sub"], profile: ["preferred_username", "groups"] },
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: false },
    // Its own page fetches fonts from elsewhere.
    rpInitiatedLogout: {
      logoutSource: async (context, form) => {
        context.body = `<!doctype html><html lang="en"><title>Provider</title><h1>Provider</h1>${form}
          <button form="op.logoutForm" name="logout" value="yes">Yes, sign me out</button>`;
      },
    },
  },
  interactions: { url: (context, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (context, sub) => people.has(sub) && { accountId: sub, claims: () => people.get(sub) },
  async loadExistingGrant(context) {
    const grant = new context.oidc.provider.Grant({ clientId: "console", accountId: context.oidc.session.accountId });
    grant.addOIDCScope("openid profile");
    await grant.save();
    return grant;
  },
});

/** The token with a fault, by the name of whom it is for. */
async function faulty(token) {
  const payload = decodeJwt(token);
  const fault = payload.preferred_username.split("-")[0];
  const change = {
    expired: { iat: payload.iat - 7200, exp: payload.exp - 7200 },
    nonce: { nonce: "of another browser" },
    audience: { aud: "another service" },
    issuer: { iss: "https://another.example" },
    foreign: {},
  }[fault];
  if (!change) return token;
  const signer = fault === "foreign" ? foreign : await importJWK(key, "ES256");
  return new SignJWT({ ...payload, ...change }).setProtectedHeader({ alg: "ES256", kid: "first" }).sign(signer);
}

provider.use(async (context, next) => {
  const [, kind, uid] = context.path.split("/");
  if (kind === "interaction" && context.method === "GET") {
    context.type = "html";
    context.body = `<!doctype html><html lang="en"><title>Provider</title><h1>Provider</h1><form method="post" action="/interaction/${uid}">
      <label>Login <input name="login"></label><button name="do" value="in">Log in</button><button name="do" value="away">Cancel</button></form>`;
    return;
  }
  if (kind === "interaction") {
    let body = "";
    for await (const part of context.req) body += part;
    const fields = new URLSearchParams(body);
    const name = fields.get("login");
    const person = claims(name);
    if (fields.get("do") === "in") people.set(person.sub, person);
    const result = fields.get("do") === "in" ? { login: { accountId: person.sub } } : { error: "access_denied", error_description: "End-User aborted interaction" };
    context.redirect(await provider.interactionResult(context.req, context.res, result));
    context.status = 303;
    return;
  }
  await next();
  if (context.path === "/token" && context.body?.id_token) context.body.id_token = await faulty(context.body.id_token);
});

const server = createServer({ cert: readFileSync(settings.certificate), key: readFileSync(settings.key) }, provider.callback());
server.listen(settings.port, "127.0.0.1", () => console.log("ready"));
