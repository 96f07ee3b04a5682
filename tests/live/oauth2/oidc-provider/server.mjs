// Three instances of oidc-provider: over http, over http with DPoP nonces, and over https with
// client certificates. Each has an API below /api that takes its tokens.
//
// node server.mjs KEYS CERTIFICATES PORT NONCE_PORT TLS_PORT
import { X509Certificate, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { calculateJwkThumbprint, exportJWK, generateKeyPair, jwtVerify } from "jose";
import { Provider } from "oidc-provider";
import { api } from "./api.mjs";

const [keys, certificates, port, noncePort, tlsPort] = process.argv.slice(2);
const TTL = 5;
const SECRET = "a secret: 100% of +&=/?~*, and long enough for HMAC with SHA-512, too";

const pem = (name) => readFileSync(`${certificates}/${name}.pem`);
const jwk = (name) => JSON.parse(readFileSync(`${keys}/${name}.jwk.json`));
const publicJwk = ({ kty, crv, x, y, n, e, kid }) => ({ kty, crv, x, y, n, e, kid });

const common = {
  grant_types: ["client_credentials"], redirect_uris: [], response_types: [],
  id_token_signed_response_alg: "ES256", scope: "read write",
};
const withSecret = (client_id, method, rest = {}) => ({
  ...common, client_id, client_secret: SECRET, token_endpoint_auth_method: method, ...rest,
});
const withKey = (client_id, name, alg) => ({
  ...common, client_id, token_endpoint_auth_method: "private_key_jwt",
  token_endpoint_auth_signing_alg: alg, jwks: { keys: [publicJwk(jwk(name))] },
});

const HMAC = ["HS256", "HS384", "HS512"];
const BY_KEY = {
  rsa: ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  p256: ["ES256"], p384: ["ES384"], p521: ["ES512"], ed25519: ["EdDSA"],
};

function clients() {
  const all = [
    withSecret("basic", "client_secret_basic"),
    withSecret("post", "client_secret_post"),
    { ...common, client_id: "public", token_endpoint_auth_method: "none" },
    withSecret("bound", "client_secret_basic", { dpop_bound_access_tokens: true }),
    withSecret("rotating", "client_secret_basic", {
      grant_types: ["authorization_code", "refresh_token"], response_types: ["code"],
      redirect_uris: ["https://client.example/back"], scope: "offline_access",
    }),
  ];
  for (const alg of HMAC) {
    const rest = { token_endpoint_auth_signing_alg: alg };
    all.push(withSecret(`secret-jwt-${alg}`, "client_secret_jwt", rest));
  }
  for (const [name, algs] of Object.entries(BY_KEY)) {
    all.push(...algs.map((alg) => withKey(`key-jwt-${alg}`, name, alg)));
  }
  return all;
}

async function clientsWithCertificates() {
  const own = new X509Certificate(pem("self-signed"));
  const x5c = [own.raw.toString("base64")];
  const bound = { tls_client_certificate_bound_access_tokens: true };
  return [
    { ...common, ...bound, client_id: "issued", token_endpoint_auth_method: "tls_client_auth",
      tls_client_auth_subject_dn: "CN=client-7" },
    { ...common, ...bound, client_id: "self-signed",
      token_endpoint_auth_method: "self_signed_tls_client_auth",
      jwks: { keys: [{ ...(await exportJWK(own.publicKey)), x5c }] } },
  ];
}

const signing = await generateKeyPair("ES256", { extractable: true });
const signingJwk = await exportJWK(signing.privateKey);
signingJwk.kid = await calculateJwkThumbprint(signingJwk);

function provider(issuer, { clients, nonces = false }) {
  const allowed = async () => true;
  return new Provider(issuer, {
    clients,
    jwks: { keys: [{ ...signingJwk, alg: "ES256", use: "sig" }] },
    // Scopes that the server doesn't know at all it leaves out in silence; "admin" is no client's.
    scopes: ["read", "write", "admin", "offline_access"],
    clientAuthMethods: [
      "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt",
      "tls_client_auth", "self_signed_tls_client_auth", "none",
    ],
    enabledJWA: {
      clientAuthSigningAlgValues: [...HMAC, ...Object.values(BY_KEY).flat()],
      dPoPSigningAlgValues: ["ES256", "RS256", "EdDSA"],
    },
    ttl: { ClientCredentials: TTL, AccessToken: 3600, RefreshToken: 3600, Grant: 3600 },
    rotateRefreshToken: true,
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: allowed },
      revocation: { enabled: true, allowedPolicy: allowed },
      dPoP: {
        enabled: true,
        nonceSecret: nonces ? randomBytes(32) : undefined,
        requireNonce: () => nonces,
      },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: async (_ctx, resource) => ({
          scope: "read write",
          audience: resource,
          accessTokenTTL: TTL,
          accessTokenFormat: resource.endsWith("/jwt") ? "jwt" : "opaque",
          jwt: { sign: { alg: "ES256" } },
        }),
      },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        selfSignedTlsClientAuth: true,
        tlsClientAuth: true,
        getCertificate: (ctx) => {
          const raw = ctx.socket.getPeerCertificate?.()?.raw;
          return raw && new X509Certificate(raw);
        },
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: (ctx, property, expected) =>
          property === "tls_client_auth_subject_dn" &&
          new X509Certificate(ctx.socket.getPeerCertificate().raw).subject === expected,
      },
    },
  });
}

// A refresh token as a person's consent brings it; it changes with each use.
async function refreshToken(server) {
  const grant = new server.Grant({ accountId: "person", clientId: "rotating" });
  grant.addOIDCScope("offline_access");
  return new server.RefreshToken({
    accountId: "person", client: await server.Client.find("rotating"),
    grantId: await grant.save(), gty: "authorization_code", scope: "offline_access",
  }).save();
}

async function serve(issuer, options, listen) {
  const server = provider(issuer, options);
  const find = async (token) => {
    if (token.split(".").length === 3) {
      const checked = await jwtVerify(token, signing.publicKey, { issuer }).catch(() => null);
      return checked?.payload;
    }
    const found = await server.ClientCredentials.find(token);
    if (!found || found.isExpired) {
      return null;
    }
    return { cnf: { jkt: found.jkt, "x5t#S256": found["x5t#S256"] } };
  };
  const handler = server.callback();
  const hello = api({ find, nonce: options.nonces ? "nonce-of-the-api" : undefined });
  server.on("server_error", (_ctx, error) => console.error(error));
  server.on("grant.error", (_ctx, error) => console.error(issuer, error.message, error.error_detail ?? ""));
  await listen((req, res) => (req.url.startsWith("/api/") ? hello : handler)(req, res));
  if (process.env.LIVE_SEEDS && options.seeds) {
    const seeds = [await refreshToken(server), await refreshToken(server)];
    writeFileSync(`${process.env.LIVE_SEEDS}/oidc-provider.json`, JSON.stringify({
      token_endpoint: `${issuer}/token`, client_id: "rotating", client_secret: SECRET, seeds,
    }));
  }
  console.log(`ready ${issuer}`);
}

const plainly = (port) => (handler) =>
  new Promise((done) => http.createServer(handler).listen(port, "127.0.0.1", done));
const withTls = (port) => (handler) =>
  new Promise((done) => {
    const options = {
      key: pem("server.key"), cert: pem("server"), ca: pem("ca"),
      requestCert: true, rejectUnauthorized: false,
    };
    https.createServer(options, handler).listen(port, "127.0.0.1", done);
  });

await serve(`http://127.0.0.1:${port}`, { clients: clients(), seeds: true }, plainly(port));
await serve(`http://127.0.0.1:${noncePort}`, { clients: clients(), nonces: true }, plainly(noncePort));
await serve(`https://127.0.0.1:${tlsPort}`, { clients: await clientsWithCertificates() }, withTls(tlsPort));
