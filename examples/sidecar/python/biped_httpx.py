"""Tokens of the sidecar for httpx, where a call can't go through the sidecar itself."""

import os

import httpx


class BipedAuth(httpx.Auth):
    """Puts a token of the provider on each request, in httpx.Client and httpx.AsyncClient.

        httpx.get(url, auth=BipedAuth("shop"))

    The sidecar keeps the token fresh, so this class keeps none: asking it again costs less than a
    millisecond, and no request is sent with a token that has ended meanwhile.
    """

    requires_response_body = True

    def __init__(self, provider, sidecar=None, caller=None):
        sidecar = sidecar or os.environ.get("BIPED_URL", "http://127.0.0.1:7417")
        caller = caller or os.environ["BIPED_CALLER_TOKEN"]
        self.url = f"{sidecar}/-/token/{provider}"
        self.headers = {"Authorization": f"Bearer {caller}", "Biped-Request": "1"}

    def auth_flow(self, request):
        asked = httpx.Request("GET", self.url, headers=self.headers, extensions=request.extensions)
        response = yield asked
        response.raise_for_status()
        token = response.json()
        request.headers["Authorization"] = f"{token['token_type'].title()} {token['access_token']}"
        yield request


if __name__ == "__main__":
    url = os.environ["SHOP_URL"] + "/v1/orders"
    answer = httpx.get(url, auth=BipedAuth("shop"), timeout=30)
    print("httpx", answer.status_code, answer.json())
