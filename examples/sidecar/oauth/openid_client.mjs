// openid-client 6. It refuses http, also to this machine, unless allowInsecureRequests is executed.
import * as client from "openid-client";

const endpoint = `${process.env.BIPED_URL}/-/oauth/shop`;
const config = new client.Configuration(
  { issuer: endpoint, token_endpoint: `${endpoint}/token` },
  "shop",
  process.env.BIPED_CALLER_TOKEN,
);
client.allowInsecureRequests(config);

const token = await client.clientCredentialsGrant(config);
const response = await fetch(`${process.env.SHOP_URL}/v1/orders`, {
  headers: { authorization: `Bearer ${token.access_token}` },
});
console.log("openid-client", response.status);
