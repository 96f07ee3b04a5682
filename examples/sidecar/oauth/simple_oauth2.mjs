// simple-oauth2. It needs nothing.
import { ClientCredentials } from "simple-oauth2";

const client = new ClientCredentials({
  client: { id: "shop", secret: process.env.BIPED_CALLER_TOKEN },
  auth: { tokenHost: process.env.BIPED_URL, tokenPath: "/-/oauth/shop/token" },
});

const { token } = await client.getToken({});
const response = await fetch(`${process.env.SHOP_URL}/v1/orders`, {
  headers: { authorization: `Bearer ${token.access_token}` },
});
console.log("simple-oauth2", response.status);
