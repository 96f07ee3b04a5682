"""Glewlwyd, set up by its administration API. python server.py ROOT DIRECTORY PORT KEYS

ROOT is where the Debian packages are unpacked, DIRECTORY takes the database, KEYS has the clients'
keys.
"""

import atexit
import base64
import http.cookiejar
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

root, directory, port, keys = sys.argv[1:]
URL = f"http://127.0.0.1:{port}"
SECRET = "a secret: 100% of +&=/?~*, and long enough for HMAC with SHA-512, too"
NAMES = {"p256": "ES256", "p384": "ES384", "rsa": "RS256", "ed25519": "EdDSA"}

CONFIGURATION = f"""
port={port}
bind_address="127.0.0.1"
external_url="{URL}"
api_prefix="api"
login_url="login.html"
cookie_domain="127.0.0.1"
cookie_secure=0
session_key="SESSION"
session_expiration=3600
log_mode="console"
log_level="ERROR"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="{root}/usr/lib/glewlwyd/user"
user_middleware_module_path="{root}/usr/lib/glewlwyd/user_middleware"
client_module_path="{root}/usr/lib/glewlwyd/client"
user_auth_scheme_module_path="{root}/usr/lib/glewlwyd/scheme"
plugin_module_path="{root}/usr/lib/glewlwyd/plugin"
hash_algorithm="SHA512"
database = {{ type = "sqlite3" path = "{directory}/glewlwyd.db" }};
"""


def text(name):
    with open(name, encoding="ascii") as file:
        return file.read()


opener = urllib.request.build_opener(
    urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
    urllib.request.ProxyHandler({}),
)


def post(path, body):
    request = urllib.request.Request(
        f"{URL}/api/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        opener.open(request, timeout=10).read()
    except urllib.error.HTTPError as error:
        sys.exit(f"glewlwyd: {path}: {error.code} {error.read().decode()}")


def log_in():
    for _ in range(100):
        try:
            return post("auth/", {"username": "admin", "password": "password"})
        except OSError:
            time.sleep(0.1)
    sys.exit("glewlwyd doesn't answer")


def plugin(name, **parameters):
    post(
        "mod/plugin/",
        {
            "module": "oidc",
            "name": name,
            "display_name": name,
            "parameters": {
                "iss": f"{URL}/api/{name}",
                "jwt-type": "ecdsa",
                "jwt-key-size": "256",
                "key": text(f"{keys}/p256.pkcs8.pem"),
                "cert": text(f"{keys}/p256.public.pem"),
                "access-token-duration": 5,
                "refresh-token-duration": 60,
                "code-duration": 60,
                "refresh-token-rolling": True,
                "allow-non-oidc": True,
                "auth-type-code-enabled": False,
                "auth-type-token-enabled": False,
                "auth-type-id-token-enabled": False,
                "auth-type-password-enabled": False,
                "auth-type-device-enabled": False,
                "auth-type-refresh-enabled": False,
                "auth-type-client-enabled": True,
                "introspection-revocation-allowed": True,
                "introspection-revocation-allow-target-client": True,
                "introspection-revocation-auth-scope": ["introspect"],
                "request-parameter-allow": True,
                "request-maximum-exp": 3600,
                "client-pubkey-parameter": "pubkey",
                "oauth-dpop-allowed": True,
                "oauth-dpop-iat-duration": 60,
                **parameters,
            },
        },
    )


def client(client_id, method, **rest):
    post(
        "client/",
        {
            "client_id": client_id,
            "name": client_id,
            "enabled": True,
            "confidential": True,
            "authorization_type": ["client_credentials"],
            "scope": ["read", "write"],
            "redirect_uri": [],
            "token_endpoint_auth_method": [method],
            **rest,
        },
    )


with open(f"{directory}/glewlwyd.conf", "w", encoding="ascii") as file:
    file.write(CONFIGURATION)
os.makedirs(f"{root}/usr/lib/glewlwyd/user_middleware", exist_ok=True)
database = sqlite3.connect(f"{directory}/glewlwyd.db")
database.executescript(text(f"{root}/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3"))
database.close()

server = subprocess.Popen(
    [f"{root}/usr/bin/glewlwyd", "--config-file", f"{directory}/glewlwyd.conf"],
    env={**os.environ, "LD_LIBRARY_PATH": f"{root}/usr/lib/x86_64-linux-gnu"},
)
# Whatever goes wrong below, it does not outlive this.
atexit.register(server.terminate)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: server.terminate())

log_in()
for scope in ("read", "write", "introspect"):
    post("scope/", {"name": scope, "display_name": scope})
plugin("oidc")
plugin("nonce", **{"oauth-dpop-nonce-mandatory": True, "oauth-dpop-nonce-counter": 5})
client("basic", "client_secret_basic", client_secret=SECRET)
client("post", "client_secret_post", client_secret=SECRET)
client("secret-jwt", "client_secret_jwt", client_secret=SECRET)
client("api", "client_secret_basic", client_secret="api", scope=["introspect"])
for name in NAMES:
    client(f"key-jwt-{name}", "private_key_jwt", pubkey=text(f"{keys}/{name}.public.pem"))


def refresh_token():
    """One that a person's password brings. It changes with each use."""
    form = {"grant_type": "password", "username": "person", "password": "password", "scope": "read"}
    proof = base64.b64encode(b"rotating:of-rotating").decode()
    request = urllib.request.Request(
        f"{URL}/api/rotating/token",
        urllib.parse.urlencode(form).encode(),
        {"Authorization": f"Basic {proof}"},
    )
    try:
        answer = opener.open(request, timeout=10).read()
    except urllib.error.HTTPError as error:
        sys.exit(f"glewlwyd: {error.code} {error.read().decode()}")
    return json.loads(answer)["refresh_token"]


if "LIVE_SEEDS" in os.environ:
    plugin(
        "rotating",
        **{
            "auth-type-password-enabled": True,
            "auth-type-refresh-enabled": True,
            "refresh-token-one-use": "always",
            "access-token-duration": 3600,
            "refresh-token-duration": 3600,
        },
    )
    grants = ["password", "refresh_token"]
    client(
        "rotating", "client_secret_basic", client_secret="of-rotating", authorization_type=grants
    )
    person = {"username": "person", "password": "password", "enabled": True}
    post("user/", {**person, "scope": ["read", "write"]})
    with open(f"{os.environ['LIVE_SEEDS']}/glewlwyd.json", "w", encoding="utf-8") as seeds:
        json.dump(
            {
                "token_endpoint": f"{URL}/api/rotating/token",
                "client_id": "rotating",
                "client_secret": "of-rotating",
                "seeds": [refresh_token() for _ in range(2)],
                # It refuses with a 400 and nothing else.
                "names_errors": False,
            },
            seeds,
        )
print(f"ready {URL}", flush=True)
sys.exit(server.wait())
