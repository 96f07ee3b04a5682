"""django-oauth-toolkit, with an API that it protects. python server.py PORT DATABASE"""

import json
import os
import sys
import uuid
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings

PORT, DATABASE = int(sys.argv[1]), sys.argv[2]
SEEDS = os.environ.get("LIVE_SEEDS")
SECRET = "a secret: 100% of +&=/?~*, and long enough for HMAC with SHA-512, too"

settings.configure(
    SECRET_KEY="of no importance",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "oauth2_provider",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    USE_TZ=True,
    OAUTH2_PROVIDER={
        "ACCESS_TOKEN_EXPIRE_SECONDS": 3600 if SEEDS else 5,
        "REFRESH_TOKEN_REUSE_PROTECTION": True,
        "SCOPES": {"read": "Reading", "write": "Writing", "introspection": "Looking at tokens"},
        "DEFAULT_SCOPES": ["read"],
        "OIDC_ENABLED": True,
        "OIDC_ISS_ENDPOINT": f"http://127.0.0.1:{PORT}/o",
    },
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.utils import timezone  # noqa: E402
from oauth2_provider.decorators import protected_resource  # noqa: E402
from oauth2_provider.models import AccessToken, Application, RefreshToken  # noqa: E402
from oauth2_provider.oauth2_backends import get_oauthlib_core  # noqa: E402


def hello(request):
    # As RFC 6750 has it.
    valid, _ = get_oauthlib_core().verify_request(request, scopes=[])
    if valid:
        return JsonResponse({"hello": "world"})
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    return JsonResponse({}, status=401, headers=headers)


@protected_resource()
def decorated(request):
    # The toolkit's own decorator answers a token that is over with 403 and nothing else.
    return JsonResponse({"hello": "world"})


def challenged(request):
    # As many gateways have it: the challenge tells, and the status does not.
    response = hello(request)
    response.status_code = 403 if response.status_code == 401 else 200
    return response


urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("api/hello", hello),
    path("decorated/hello", decorated),
    path("challenged/hello", challenged),
]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


call_command("migrate", verbosity=0)
Application.objects.create(
    name="client",
    client_id="client-7",
    client_secret=SECRET,
    client_type=Application.CLIENT_CONFIDENTIAL,
    authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
)


def refresh_token(application, user, text):
    """As a person's consent brings it. It changes with each use."""
    grant = {"user": user, "application": application}
    access = AccessToken.objects.create(
        token="of " + text, expires=timezone.now(), scope="read", **grant
    )
    RefreshToken.objects.create(
        token=text, access_token=access, token_family=uuid.uuid4(), **grant
    )
    return text


if SEEDS:
    rotating = Application.objects.create(
        name="rotating",
        client_id="rotating",
        client_secret=SECRET,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris="https://client.example/back",
    )
    person = User.objects.create(username="person")
    with open(f"{SEEDS}/django-oauth-toolkit.json", "w", encoding="utf-8") as file:
        json.dump(
            {
                "token_endpoint": f"http://127.0.0.1:{PORT}/o/token/",
                "client_id": "rotating",
                "client_secret": SECRET,
                "seeds": [refresh_token(rotating, person, f"seed-{n}") for n in range(2)],
            },
            file,
        )
server = make_server("127.0.0.1", PORT, get_wsgi_application(), Server, Quiet)
print(f"ready http://127.0.0.1:{PORT}", flush=True)
server.serve_forever()
