"""Authlib, here over httpx. It needs nothing."""

import os

from authlib.integrations.httpx_client import OAuth2Client

endpoint = os.environ["BIPED_URL"] + "/-/oauth/shop/token"

client = OAuth2Client(
    "shop",
    os.environ["BIPED_CALLER_TOKEN"],
    token_endpoint=endpoint,
    grant_type="client_credentials",
)
client.fetch_token(endpoint)
print("Authlib", client.get(os.environ["SHOP_URL"] + "/v1/orders").status_code)
