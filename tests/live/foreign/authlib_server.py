"""Authlib's server of RFC 7523, which trusts other issuers.

authlib_server.py SANDBOX PLATFORM: grants (§2.1) that the issuers that SANDBOX trusts have signed, and client
assertions (§2.2) of the client "workload", whose keys are at PLATFORM/jwks.
"""
import json
import sys
import urllib.request

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion, JWTBearerGrant
from flask import Flask, request
from joserfc.jwk import KeySet
from werkzeug.serving import WSGIRequestHandler, make_server

SANDBOX, PLATFORM = sys.argv[1:]


def keys(url):
    with urllib.request.urlopen(url) as answer:
        return KeySet.import_key_set(json.load(answer))


class Client(ClientMixin):
    def __init__(self, client_id, jwks, grant):
        self.client_id, self.jwks, self.grant = client_id, jwks, grant

    def get_client_id(self):
        return self.client_id

    def get_allowed_scope(self, scope):
        return scope if set((scope or "").split()) <= {"read", "write"} else ""

    def check_grant_type(self, grant_type):
        return grant_type == self.grant

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_assertion_jwt"


class Grant(JWTBearerGrant):
    def resolve_issuer_client(self, issuer):
        # Whoever signs with the keys of the sandbox is trusted.
        return Client(issuer, keys(f"{SANDBOX}/issuer/jwks"), self.GRANT_TYPE)

    def resolve_client_public_key(self, client):
        return client.jwks

    def get_audiences(self):
        return [ISSUER, f"{ISSUER}/token"]

    def authenticate_user(self, subject):
        return subject

    def has_granted_permission(self, client, user):
        return True


class Assertion(JWTBearerClientAssertion):
    used = set()

    def resolve_client_public_key(self, client):
        return client.jwks

    def get_audiences(self):
        return [ISSUER, f"{ISSUER}/token"]

    def validate_jti(self, claims, jti):
        if jti in self.used:
            return False
        self.used.add(jti)
        return True


class Credentials(ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_assertion_jwt"]


def client_of(client_id):
    if client_id == "workload":
        return Client(client_id, keys(f"{PLATFORM}/jwks"), "client_credentials")
    return None


app = Flask(__name__)
issued = set()
server = AuthorizationServer(
    app, query_client=client_of, save_token=lambda token, _: issued.add(token["access_token"])
)
server.register_grant(Grant)
server.register_grant(Credentials)
server.register_client_auth_method("client_assertion_jwt", Assertion())


@app.post("/token")
def token():
    response = server.create_token_response()
    if response.status_code != 200:
        print(response.get_data(as_text=True), flush=True)
    return response


@app.get("/.well-known/oauth-authorization-server")
def metadata():
    return {"issuer": ISSUER, "token_endpoint": f"{ISSUER}/token"}


@app.get("/api/hello")
def hello():
    known = request.headers.get("Authorization", "").removeprefix("Bearer ") in issued
    return ({"hello": "world"}, 200) if known else ({}, 401)


class Quiet(WSGIRequestHandler):
    def log_request(self, *_):
        pass


listening = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
ISSUER = f"http://127.0.0.1:{listening.server_port}"
print(f"ready {ISSUER}", flush=True)
listening.serve_forever()
