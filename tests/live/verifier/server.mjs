// An authorization server that verifies client assertions with nothing but node, and an API that takes its
// tokens. It can also be the platform that signs an assertion into a file and replaces the file.
//
// node server.mjs PUBLIC [OPTION=VALUE…]
//
// PUBLIC is a directory with NAME.pem, the public key of the client NAME. Options:
//   port=0        where it listens; it prints "ready ISSUER"
//   life=60       how long its tokens live, in seconds
//   once=1        takes each assertion only once
//   hold=0        how long a token request waits for its response, in milliseconds
//   file=PATH     signs assertions of the client "projected" into this file
//   every=2       replaces the file so often, in seconds
//   valid=6       how long these assertions are valid, in seconds
//
// GET /counts says what happened.
import { createPublicKey, generateKeyPairSync, randomUUID, sign, verify } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import http from "node:http";

const [directory, ...rest] = process.argv.slice(2);
const options = Object.fromEntries(rest.map((option) => option.split(/=(.*)/s)));
const life = Number(options.life ?? 60);
const now = () => Date.now() / 1000;
const counts = { received: 0, accepted: 0, refused: 0, stale: 0, repeated: 0, replacements: 0, calls: 0, denied: 0 };
const seen = new Set();
const tokens = new Map();
let issuer;
let projected;

const HASH = { 256: "sha256", 384: "sha384", 512: "sha512" };
const parameters = (alg) => {
  switch (alg.slice(0, 2)) {
    case "RS": return [HASH[alg.slice(2)], {}];
    // 6: the padding PSS. -1: a salt as long as the hash.
    case "PS": return [HASH[alg.slice(2)], { padding: 6, saltLength: -1 }];
    case "ES": return [HASH[alg.slice(2)], { dsaEncoding: "ieee-p1363" }];
    default: return [null, {}];
  }
};
const CURVES = { ES256: "prime256v1", ES384: "secp384r1", ES512: "secp521r1" };

const refusal = (assertion) => {
  const parts = (assertion ?? "").split(".");
  if (parts.length !== 3) return "this is not a JWT";
  const [header, claims] = parts.slice(0, 2).map((part) => JSON.parse(Buffer.from(part, "base64url")));
  if (!["client-authentication+jwt", "JWT"].includes(header.typ)) return "wrong typ";
  if (!/^[\w-]+$/.test(claims.sub)) return "no sub";
  const key = claims.sub === "projected" && projected
    ? projected.publicKey
    : createPublicKey(readFileSync(`${directory}/${claims.sub}.pem`));
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (curve && CURVES[header.alg] !== curve) return "alg does not fit the key";
  const [hash, rest] = parameters(header.alg);
  const message = Buffer.from(parts.slice(0, 2).join("."));
  if (!verify(hash, message, { key, ...rest }, Buffer.from(parts[2], "base64url"))) return "wrong signature";
  if (claims.aud !== issuer) return "wrong aud";
  if (claims.iss !== claims.sub) return "wrong iss";
  if (claims.exp <= now()) {
    counts.stale += 1;
    return "the assertion has expired";
  }
  if (options.once && seen.has(assertion)) {
    counts.repeated += 1;
    return "the assertion was used before";
  }
  seen.add(assertion);
  return null;
};

const json = (response, status, body) => {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(JSON.stringify(body));
};

const token = async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const assertion = new URLSearchParams(body).get("client_assertion");
  let why;
  try {
    why = refusal(assertion);
  } catch (error) {
    why = error.message;
  }
  counts.received += 1;
  if (options.hold) await new Promise((done) => setTimeout(done, Number(options.hold)));
  if (why) {
    counts.refused += 1;
    console.error(why);
    return json(response, 401, { error: "invalid_client", error_description: why });
  }
  counts.accepted += 1;
  const text = randomUUID();
  tokens.set(text, now() + life);
  return json(response, 200, { access_token: text, token_type: "Bearer", expires_in: life });
};

const server = http.createServer(async (request, response) => {
  const path = new URL(request.url, issuer).pathname;
  if (path === "/token") return token(request, response);
  if (path === "/counts") return json(response, 200, counts);
  if (path === "/.well-known/openid-configuration" || path === "/.well-known/oauth-authorization-server") {
    return json(response, 200, {
      issuer, token_endpoint: `${issuer}/token`, token_endpoint_auth_methods_supported: ["private_key_jwt"],
    });
  }
  if (path === "/api/hello") {
    const known = tokens.get((request.headers.authorization ?? "").replace(/^Bearer /, ""));
    if (known > now()) {
      counts.calls += 1;
      return json(response, 200, { hello: "world" });
    }
    counts.denied += 1;
    response.setHeader("www-authenticate", 'Bearer error="invalid_token"');
  }
  return json(response, path === "/api/hello" ? 401 : 404, {});
});
server.keepAliveTimeout = 60_000;

// Replaces the file as a kubelet does: readers see the old text or the new one.
const replace = () => {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const iat = Math.floor(now());
  const claims = {
    iss: "projected", sub: "projected", aud: issuer, jti: randomUUID(), iat, exp: iat + Number(options.valid ?? 6),
  };
  const input = `${part({ alg: "ES256", typ: "JWT" })}.${part(claims)}`;
  const key = { key: projected.privateKey, dsaEncoding: "ieee-p1363" };
  const text = `${input}.${sign("sha256", Buffer.from(input), key).toString("base64url")}`;
  writeFileSync(`${options.file}.new`, text, { mode: 0o600 });
  renameSync(`${options.file}.new`, options.file);
};

server.listen(Number(options.port ?? 0), "127.0.0.1", () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  if (options.file) {
    projected = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
    replace();
    setInterval(() => {
      replace();
      counts.replacements += 1;
    }, Number(options.every ?? 2) * 1000);
  }
  console.log(`ready ${issuer}`);
});
