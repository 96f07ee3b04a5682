// An API for the tokens of a Glewlwyd, which it asks about each of them (RFC 7662). The first part of
// the path says by which of its plugins a token was issued.
//
// node introspecting.mjs PORT GLEWLWYD CLIENT_ID CLIENT_SECRET
import http from "node:http";
import { api } from "./api.mjs";

const [port, glewlwyd, id, secret] = process.argv.slice(2);

async function post(url, authorization, fields) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { Authorization: authorization },
    body: new URLSearchParams(fields),
  });
  if (!answer.ok) {
    console.error(url, answer.status, await answer.text());
    return {};
  }
  return answer.json();
}

async function find(token, req) {
  const plugin = `${glewlwyd}/api/${req.url.split("/")[1]}`;
  // The API's own tokens live as shortly as all others: on a busy machine one may not last.
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const own = await post(`${plugin}/token`, `Basic ${btoa(`${id}:${secret}`)}`, {
      grant_type: "client_credentials",
      scope: "introspect",
    });
    const said = await post(`${plugin}/introspect`, `Bearer ${own.access_token}`, { token });
    if ("active" in said) {
      return said.active ? said : null;
    }
  }
  throw new Error("Glewlwyd doesn't say");
}

http.createServer(api({ find })).listen(port, "127.0.0.1", () => {
  console.log(`ready http://127.0.0.1:${port}`);
});
