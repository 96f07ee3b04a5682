// An API that takes what `find` knows: bearer tokens, tokens bound to a key (RFC 9449) and to a
// certificate (RFC 8705).
import { createHash } from "node:crypto";
import { EmbeddedJWK, calculateJwkThumbprint, jwtVerify } from "jose";

const hash = (data) => createHash("sha256").update(data).digest("base64url");

export function api({ find, nonce }) {
  const seen = new Set();

  async function prove(req, token, jkt, origin) {
    const { payload, protectedHeader } = await jwtVerify(req.headers.dpop, EmbeddedJWK, {
      typ: "dpop+jwt",
    });
    if (nonce && payload.nonce !== nonce) {
      return "use_dpop_nonce";
    }
    const good =
      (await calculateJwkThumbprint(protectedHeader.jwk)) === jkt &&
      payload.ath === hash(token) &&
      payload.htm === req.method &&
      payload.htu === origin + req.url.split("?")[0] &&
      !seen.has(payload.jti) &&
      Math.abs(Date.now() / 1000 - payload.iat) < 60;
    seen.add(payload.jti);
    return good ? null : "invalid_dpop_proof";
  }

  async function fault(req, origin) {
    const [scheme, token] = (req.headers.authorization ?? "").split(" ");
    const known = token && (await find(token, req));
    if (!known) {
      return "invalid_token";
    }
    const { jkt, "x5t#S256": x5t } = known.cnf ?? {};
    if (jkt) {
      return scheme === "DPoP" ? prove(req, token, jkt, origin) : "invalid_token";
    }
    if (x5t) {
      const certificate = req.socket.getPeerCertificate?.()?.raw;
      return certificate && hash(certificate) === x5t ? null : "invalid_token";
    }
    return scheme === "Bearer" ? null : "invalid_token";
  }

  return async (req, res) => {
    const origin = `${req.socket.encrypted ? "https" : "http"}://${req.headers.host}`;
    const error = await fault(req, origin).catch((error) => {
      console.error("api:", error.message);
      return "invalid_dpop_proof";
    });
    if (nonce) {
      res.setHeader("DPoP-Nonce", nonce);
    }
    if (error) {
      const scheme = req.headers.dpop ? "DPoP" : "Bearer";
      res.writeHead(401, { "WWW-Authenticate": `${scheme} error="${error}"` }).end();
    } else {
      res.writeHead(200, { "Content-Type": "application/json" }).end('{"hello":"world"}');
    }
  };
}
