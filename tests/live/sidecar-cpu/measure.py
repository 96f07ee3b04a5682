"""CPU time per request of three proxies that put a token on, measured in turns."""

import contextlib
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request

from tokens import Tokens

PAIRS = int(os.environ.get("PAIRS", "9"))
SECONDS = int(os.environ.get("SECONDS_EACH", "2"))
CONNECTIONS = [int(n) for n in os.environ.get("CONNECTIONS", "1 16 256").split()]
SIZES = os.environ.get("SIZES", "2B 1MiB").split()
BIPED = os.environ["BIPED"]
ENVOY = os.environ.get("ENVOY", "")
NGINX = "/usr/sbin/nginx"


def free():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def nginx(work, name, servers):
    """An nginx with one worker, and all that its own files need below the directory."""
    home = work / name
    home.mkdir()
    paths = "\n".join(
        f"{kind}_temp_path {home}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (home / "conf").write_text(
        f"""
worker_processes 1; daemon off; master_process off; pid {home}/pid; error_log {home}/log warn;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; tcp_nodelay on; sendfile on; {paths} {servers} }}
"""
    )
    return subprocess.Popen([NGINX, "-c", home / "conf", "-p", home])


def cpu(pid):
    """The CPU time of a process in seconds, of user and system together."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def load(url, connections):
    """How many requests were answered, and none with an error."""
    out = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--timeout", "30s", url],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    answered = int(re.search(r"(\d+) requests in", out).group(1))
    # Resets and timeouts cost CPU time as well, which the other requests would pay for.
    if "Non-2xx" in out or "Socket errors" in out or not answered:
        raise SystemExit(out)
    return answered


def until(url):
    for _ in range(300):
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(url, timeout=5) as answer:
                answer.read()
                return
        time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


def main():
    os.environ["no_proxy"] = "127.0.0.1"
    processes = []
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        work.chmod(0o755)
        api, fixed, injector, sidecar = free(), free(), free(), free()
        tokens = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tokens)
        threading.Thread(target=tokens.serve_forever, daemon=True).start()
        issuer = tokens.server_port
        (work / "www").mkdir()
        (work / "www" / "2B").write_bytes(b"hi")
        (work / "www" / "1MiB").write_bytes(os.urandom(1024 * 1024))
        try:
            processes.append(
                nginx(
                    work,
                    "api",
                    # The API insists on the token that each of the three puts on.
                    f"""server {{ listen 127.0.0.1:{api} backlog=4096; root {work}/www;
                        if ($http_authorization != "Bearer {'t' * 40}") {{ return 401; }} }}""",
                )
            )
            proxies = {}
            own = nginx(
                work,
                "nginx",
                f"""upstream api {{ server 127.0.0.1:{api}; keepalive 512;
                        keepalive_requests 1000000000; }}
                server {{ listen 127.0.0.1:{fixed} backlog=4096;
                    location / {{ proxy_pass http://api; proxy_http_version 1.1;
                        proxy_max_temp_file_size 0;
                        proxy_set_header Connection ""; proxy_set_header Host 127.0.0.1:{api};
                        proxy_set_header Authorization "Bearer {'t' * 40}"; }} }}""",
            )
            processes.append(own)
            proxies["nginx"] = (own.pid, f"http://127.0.0.1:{fixed}")
            (work / "biped.toml").write_text(
                f"""
[providers.api]
kind = "oauth2"
token_endpoint = "http://127.0.0.1:{issuer}/token"
api_base_url = "http://127.0.0.1:{api}"
client_id = "me"
client_secret = "secret"
[serve]
listen = ["127.0.0.1:{sidecar}"]
threads = 1
"""
            )
            serving = subprocess.Popen(
                [BIPED, "--config", work / "biped.toml", "serve"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            processes.append(serving)
            proxies["biped"] = (serving.pid, f"http://127.0.0.1:{sidecar}/api")
            if ENVOY:
                (work / "envoy.json").write_text(json.dumps(envoy(injector, api, issuer)))
                running = subprocess.Popen(
                    [ENVOY, "-c", work / "envoy.json", "--concurrency", "1", "-l", "error",
                     "--disable-hot-restart", "--use-dynamic-base-id"],
                )
                processes.append(running)
                proxies["envoy"] = (running.pid, f"http://127.0.0.1:{injector}")
            for _, url in proxies.values():
                until(f"{url}/2B")
            measure(proxies)
        finally:
            for process in processes:
                process.send_signal(signal.SIGKILL)
                process.wait()


def measure(proxies):
    print(f"median of {PAIRS} pairs, {SECONDS} s each; CPU time per request in µs")
    print("| body | connections | nginx | biped | / nginx | envoy | biped / envoy |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for size in SIZES:
        for connections in CONNECTIONS:
            costs = {name: [] for name in proxies}
            # The first turn opens connections.
            for turn in range(PAIRS + 1):
                for name, (pid, url) in proxies.items():
                    before = cpu(pid)
                    requests = load(f"{url}/{size}", connections)
                    cost = (cpu(pid) - before) / requests * 1e6
                    if turn:
                        costs[name].append(cost)
            show(size, connections, costs)


def show(size, connections, costs):
    def ratio(over):
        pairs = zip(costs["biped"], costs[over])
        return f"{statistics.median(own / other for own, other in pairs):.2f}"

    middle = {name: f"{statistics.median(all):.1f}" for name, all in costs.items()}
    envoy = [middle["envoy"], ratio("envoy")] if "envoy" in costs else ["", ""]
    row = [size, str(connections), middle["nginx"], middle["biped"], ratio("nginx"), *envoy]
    print("| " + " | ".join(row) + " |", flush=True)


def envoy(port, api, issuer):
    def cluster(name, to):
        at = {"socket_address": {"address": "127.0.0.1", "port_value": to}}
        endpoints = [{"lb_endpoints": [{"endpoint": {"address": at}}]}]
        return {
            "name": name,
            "type": "STATIC",
            "connect_timeout": "5s",
            "circuit_breakers": {"thresholds": [{"max_connections": 4096, "max_pending_requests": 4096,
                                                 "max_requests": 4096}]},
            "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        }

    extensions = "type.googleapis.com/envoy.extensions"
    oauth = f"{extensions}.http.injected_credentials.oauth2.v3.OAuth2"
    injector = {
        "@type": f"{extensions}.filters.http.credential_injector.v3.CredentialInjector",
        "overwrite": True,
        "credential": {
            "name": "envoy.http.injected_credentials.oauth2",
            "typed_config": {
                "@type": oauth,
                "token_endpoint": {"cluster": "issuer", "timeout": "5s",
                                   "uri": f"http://127.0.0.1:{issuer}/token"},
                "client_credentials": {"client_id": "me", "client_secret": {"name": "secret"}},
            },
        },
    }
    manager = {
        "@type": f"{extensions}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"],
                         "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "api"}}]}]},
        "http_filters": [
            {"name": "envoy.filters.http.credential_injector", "typed_config": injector},
            {"name": "envoy.filters.http.router",
             "typed_config": {"@type": f"{extensions}.filters.http.router.v3.Router"}},
        ],
    }
    secret = {"name": "secret", "generic_secret": {"secret": {"inline_string": "secret"}}}
    listener = {
        "name": "in",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager",
                                        "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener], "secrets": [secret],
                                 "clusters": [cluster("api", api), cluster("issuer", issuer)]}}


if __name__ == "__main__":
    main()
