"""requests-oauthlib. It refuses http, also to this machine, unless OAUTHLIB_INSECURE_TRANSPORT is set."""

import os

from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
endpoint = os.environ["BIPED_URL"] + "/-/oauth/shop/token"

session = OAuth2Session(client=BackendApplicationClient(client_id="shop"))
session.fetch_token(endpoint, client_secret=os.environ["BIPED_CALLER_TOKEN"])
print("requests-oauthlib", session.get(os.environ["SHOP_URL"] + "/v1/orders").status_code)
