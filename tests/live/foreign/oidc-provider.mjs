// oidc-provider with trust in other issuers. Its client "workload" proves itself with assertions that the
// platform at /platform signs (RFC 7523 §2.2), each good for one request. Its client "anyone" needs no proof, and
// presents what the issuer SANDBOX trusts: as a grant (RFC 7523 §2.1), or to exchange it (RFC 8693).
//
// node oidc-provider.mjs SANDBOX
import { randomUUID } from "node:crypto";
import http from "node:http";
import { SignJWT, createLocalJWKSet, exportJWK, generateKeyPair, jwtVerify } from "jose";
import { Provider, errors } from "oidc-provider";

const [sandbox] = process.argv.slice(2);
const trusted = createLocalJWKSet(await (await fetch(`${sandbox}/issuer/jwks`)).json());
const JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const TTL = 60;
// How long the platform gives the same assertion, in milliseconds.
const CACHED = 3000;

const platform = await generateKeyPair("ES256", { extractable: true });
const platformJwk = { ...(await exportJWK(platform.publicKey)), kid: "platform", alg: "ES256", use: "sig" };
const signing = await generateKeyPair("ES256", { extractable: true });
const signingJwk = { ...(await exportJWK(signing.privateKey)), kid: "signing", alg: "ES256", use: "sig" };
const common = {
  redirect_uris: [], response_types: [], id_token_signed_response_alg: "ES256", scope: "read write",
};

let given;
const assertion = async (audience) => {
  if (!given || given.audience !== audience || Date.now() - given.at > CACHED) {
    const text = await new SignJWT({})
      .setProtectedHeader({ alg: "ES256", kid: "platform" })
      .setIssuer("workload").setSubject("workload").setAudience(audience)
      .setJti(randomUUID()).setIssuedAt().setExpirationTime("60s").sign(platform.privateKey);
    given = { audience, at: Date.now(), text };
  }
  return given.text;
};

const server = http.createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      { ...common, client_id: "workload", grant_types: ["client_credentials"],
        token_endpoint_auth_method: "private_key_jwt", token_endpoint_auth_signing_alg: "ES256",
        jwks_uri: `${issuer}/platform/jwks` },
      { ...common, client_id: "anyone", grant_types: [JWT_BEARER, TOKEN_EXCHANGE],
        token_endpoint_auth_method: "none" },
    ],
    jwks: { keys: [signingJwk] },
    scopes: ["read", "write"],
    clientAuthMethods: ["private_key_jwt", "none"],
    enabledJWA: { clientAuthSigningAlgValues: ["ES256"] },
    // It fetches the keys of its clients, and from this machine only if it is told to.
    fetch: (url, options) => fetch(url, { ...options, dispatcher: undefined }),
    ttl: { ClientCredentials: TTL },
    features: { devInteractions: { enabled: false }, clientCredentials: { enabled: true } },
  });

  const subject = async (text) => {
    const known = await jwtVerify(text ?? "", trusted, { audience: issuer }).catch((error) => {
      throw new errors.InvalidGrant(error.message);
    });
    return known.payload;
  };
  const issue = async (ctx, rest) => {
    const { scope } = ctx.oidc.params;
    const token = new provider.ClientCredentials({ client: ctx.oidc.client, scope });
    ctx.body = {
      access_token: await token.save(), token_type: "Bearer", expires_in: token.expiration, scope, ...rest,
    };
  };
  provider.registerGrantType(JWT_BEARER, async (ctx) => {
    const claims = await subject(ctx.oidc.params.assertion);
    await issue(ctx, { subject: claims.sub });
  }, ["assertion", "scope"]);
  provider.registerGrantType(TOKEN_EXCHANGE, async (ctx) => {
    const { subject_token, subject_token_type, actor_token, actor_token_type } = ctx.oidc.params;
    if (!subject_token_type?.startsWith("urn:ietf:params:oauth:token-type:")) {
      throw new errors.InvalidRequest("subject_token_type is missing");
    }
    if (!actor_token !== !actor_token_type) throw new errors.InvalidRequest("actor_token lacks its type");
    const claims = await subject(subject_token);
    if (actor_token) await subject(actor_token);
    const issued_token_type = "urn:ietf:params:oauth:token-type:access_token";
    await issue(ctx, { issued_token_type, subject: claims.sub });
  }, ["subject_token", "subject_token_type", "actor_token", "actor_token_type", "requested_token_type",
    "audience", "resource", "scope"], ["audience", "resource"]);
  provider.on("server_error", (_ctx, error) => console.error(error));
  provider.on("grant.error", (_ctx, error) => console.error(error.error, error.error_description, error.error_detail ?? ""));

  const handler = provider.callback();
  server.on("request", async (req, res) => {
    const url = new URL(req.url, issuer);
    if (url.pathname === "/platform/jwks") {
      res.setHeader("content-type", "application/json");
      return res.end(JSON.stringify({ keys: [platformJwk] }));
    }
    if (url.pathname === "/platform/token") return res.end(await assertion(url.searchParams.get("audience")));
    if (url.pathname === "/api/hello") {
      const found = await provider.ClientCredentials.find((req.headers.authorization ?? "").replace("Bearer ", ""));
      res.statusCode = found && !found.isExpired ? 200 : 401;
      return res.end(JSON.stringify({ hello: found ? "world" : "stranger" }));
    }
    return handler(req, res);
  });
  console.log(`ready ${issuer}`);
});
