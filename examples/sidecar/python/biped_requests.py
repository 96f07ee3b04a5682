"""Tokens of the sidecar for requests, where a call can't go through the sidecar itself."""

import os

import requests
from requests.auth import AuthBase


class BipedAuth(AuthBase):
    """Puts a token of the provider on each request.

        requests.get(url, auth=BipedAuth("shop"))

    The sidecar keeps the token fresh, so this class keeps none: asking it again costs less than a
    millisecond, and no request is sent with a token that has ended meanwhile.
    """

    def __init__(self, provider, sidecar=None, caller=None):
        sidecar = sidecar or os.environ.get("BIPED_URL", "http://127.0.0.1:7417")
        caller = caller or os.environ["BIPED_CALLER_TOKEN"]
        self.url = f"{sidecar}/-/token/{provider}"
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy, and no .netrc, between here and the sidecar
        self.session.headers = {"Authorization": f"Bearer {caller}", "Biped-Request": "1"}

    def __call__(self, request):
        response = self.session.get(self.url, timeout=15)
        response.raise_for_status()
        token = response.json()
        request.headers["Authorization"] = f"{token['token_type'].title()} {token['access_token']}"
        return request


if __name__ == "__main__":
    url = os.environ["SHOP_URL"] + "/v1/orders"
    answer = requests.get(url, auth=BipedAuth("shop"), timeout=30)
    print("requests", answer.status_code, answer.json())
