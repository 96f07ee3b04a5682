"""The sidecar under load; what is measured goes to stdout, and what is wrong ends it with status 1."""

import contextlib
import http.client
import json
import multiprocessing
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

BIPED = os.environ["BIPED"]
CALLS = int(os.environ.get("CALLS", "10000"))
GIB = int(os.environ.get("GIB", "5"))
CONNECTIONS = int(os.environ.get("CONNECTIONS", "10000"))
MINUTES = float(os.environ.get("MINUTES", "1"))
PIECE = bytes(256 * 1024)
MIB = 1024 * 1024


# The vendor: a token endpoint and an API that fails as its paths say.


def vendor(listener):
    # Tokens are counted, so that an API can reject an old one.
    issued = iter(range(1, 1 << 40))
    rejected, lock = set(), threading.Lock()

    def serve(stream):
        with contextlib.suppress(OSError, ValueError), stream, stream.makefile("rb") as lines:
            while answer(stream, lines):
                pass

    def answer(stream, lines):
        first = lines.readline()
        if not first:
            return False
        method, path, _ = first.decode().split(" ", 2)
        headers = {}
        while (line := lines.readline()) not in (b"\r\n", b""):
            name, value = line.decode().split(":", 1)
            headers[name.lower()] = value.strip()
        if method == "POST" and path == "/early":
            return False
        read = 0
        if "content-length" in headers:
            left = int(headers["content-length"])
            while left:
                piece = lines.read1(min(left, len(PIECE)))
                if not piece:
                    return False
                left -= len(piece)
                read += len(piece)
        elif headers.get("transfer-encoding") == "chunked":
            while size := int(lines.readline(), 16):
                read += len(lines.read(size + 2)) - 2
            lines.readline()

        def say(status, body=b"", more=""):
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
            stream.sendall(head.encode() + body)
            return True

        if path == "/token":
            with lock:
                number = next(issued)
            token = {"access_token": f"token-{number}", "token_type": "Bearer", "expires_in": 3600}
            return say("200 OK", json.dumps(token).encode(), "Content-Type: application/json\r\n")
        if path.startswith("/revoked/"):
            with lock:
                is_first = path not in rejected
                rejected.add(path)
            if is_first:
                return say("401 Unauthorized", b"no", 'WWW-Authenticate: Bearer error="invalid_token"\r\n')
            return say("200 OK", b"again")
        if path == "/reset":
            return False
        if path == "/cut":
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
            return False
        if path == "/cut-chunked":
            stream.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
            return False
        if path == "/nonsense":
            stream.sendall(b"this is no HTTP\r\n\r\n")
            return False
        if path == "/slow":
            stream.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(5):
                time.sleep(0.01)
                stream.sendall(b"2\r\nhi\r\n")
            stream.sendall(b"0\r\n\r\n")
            return True
        if path == "/silent":
            time.sleep(3)
            return False
        if path == "/empty":
            stream.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            return True
        if path.startswith("/down/"):
            left = int(path.rsplit("/", 1)[1])
            stream.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n".encode())
            while left:
                left -= stream.send(PIECE[: min(left, len(PIECE))])
            return True
        if path.startswith("/status/"):
            return say(f"{path.rsplit('/', 1)[1]} Said", b"said")
        return say("200 OK", f"{method} {read}".encode())

    while True:
        stream, _ = listener.accept()
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(stream,), daemon=True).start()


# The sidecar, seen from outside.


def memory(pid, field="VmRSS"):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+)", text).group(1)) / 1024


def forget_peak(pid):
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


class Failed(Exception):
    pass


def check(holds, what):
    if not holds:
        raise Failed(what)


# 10 000 calls, each with what it must get.

def plain(method, path, status, body=None, send=None, word=None, sent=None, headers={}):
    def call(connection, _number):
        connection.request(method, f"/api{path}", body=send, headers=headers)
        answer = connection.getresponse()
        got = answer.read()
        check(answer.status == status, f"{method} {path}: {answer.status} {got[:200]}")
        if body is not None:
            check(got == body, f"{method} {path}: {got[:200]}")
        if word:
            problem = json.loads(got)
            check((problem["problem"], problem["sent"]) == (word, sent), f"{path}: {problem}")

    return call


def revoked(connection, number):
    connection.request("POST", f"/api/revoked/{number}", body=b"seven!!")
    answer = connection.getresponse()
    got = answer.read()
    # Within the cool-down after another rejection, the vendor's own 401 passes.
    is_replayed = answer.status == 200 and answer.getheader("biped-replayed") == "1"
    is_passed = answer.status == 401 and answer.getheader("biped-rejected")
    check(is_replayed or is_passed, f"revoked: {answer.status} {answer.headers} {got[:200]}")


def cut(path):
    def call(connection, _number):
        connection.request("GET", f"/api{path}")
        # An API that ends at once may end the answer before its head went out.
        try:
            got = connection.getresponse().read()
        except (http.client.IncompleteRead, ConnectionError):
            return
        finally:
            connection.close()
        raise Failed(f"{path} ended cleanly: {got[:200]}")

    return call


def chunked(connection, _number):
    pieces = (b"x" * 50_000 for _ in range(20))
    connection.request("POST", "/api/up", body=pieces, encode_chunked=True)
    answer = connection.getresponse()
    check(answer.read() == b"POST 1000000", "a chunked body")


def gone(connection, _number):
    connection.request("GET", "/api/silent")
    connection.close()


CASES = [
    *[plain("GET", "/x", 200, b"GET 0")] * 8,
    plain("POST", "/x", 200, b"POST 7", b"seven!!"),
    plain("PUT", "/x", 200, b"PUT 300000", b"x" * 300_000),
    chunked,
    plain("HEAD", "/x", 200, b""),
    plain("GET", "/empty", 204, b""),
    plain("GET", "/slow", 200, b"hi" * 5),
    plain("GET", "/status/403", 403, b"said"),
    plain("GET", "/status/503", 503, b"said"),
    plain("DELETE", "/status/404", 404, b"said"),
    revoked,
    cut("/cut"),
    cut("/cut-chunked"),
    plain("POST", "/reset", 502, send=b"x", word="cut-off", sent=True),
    plain("GET", "/reset", 502, word="cut-off", sent=True),
    plain("GET", "/nonsense", 502, word="bad-answer", sent=True),
    plain("GET", "/silent", 504, word="silent", sent=True, headers={"Biped-Timeout": "1"}),
    plain("GET", "/a/../b", 400, word="bad-path", sent=False),
    gone,
]


def matrix(port):
    numbers, lock, wrong = iter(range(CALLS)), threading.Lock(), []

    def work():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return connection.close()
            try:
                CASES[number % len(CASES)](connection, number)
            except (Failed, OSError, http.client.HTTPException) as error:
                wrong.append(f"call {number}: {error!r}")
                connection.close()

    started = time.monotonic()
    workers = [threading.Thread(target=work) for _ in range(32)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    check(not wrong, f"{len(wrong)} of {CALLS} calls went wrong: {wrong[:5]}")
    return time.monotonic() - started


# 5 GiB in each direction.


def download(port):
    with socket.create_connection(("127.0.0.1", port)) as stream:
        size = GIB << 30
        head = f"GET /api/down/{size} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        stream.sendall(head.encode())
        got, buffer = b"", bytearray(MIB)
        while b"\r\n\r\n" not in got:
            got += stream.recv(65536)
        check(got.startswith(b"HTTP/1.1 200"), got[:200])
        read = len(got.split(b"\r\n\r\n", 1)[1])
        while more := stream.recv_into(buffer):
            read += more
        check(read == size, f"{read} of {size} bytes came")


def upload(port):
    with socket.create_connection(("127.0.0.1", port)) as stream:
        left = size = GIB << 30
        head = f"POST /api/up HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        stream.sendall(head.encode())
        while left:
            left -= stream.send(PIECE[: min(left, len(PIECE))])
        got = b""
        while f"POST {size}".encode() not in got:
            piece = stream.recv(65536)
            check(piece, f"the connection ended: {got[:500]}")
            got += piece


# 10 000 open connections.


def crowd(port, pid):
    idle = []
    try:
        for _ in range(CONNECTIONS):
            stream = socket.create_connection(("127.0.0.1", port))
            idle.append(stream)
        # Half of them made a call before.
        for stream in idle[::2]:
            stream.sendall(b"GET /-/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for stream in idle[::2]:
            check(stream.recv(4096).startswith(b"HTTP/1.1 200"), "a call of one of many")
        times = []
        for _ in range(21):
            started = time.monotonic()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/x", timeout=30) as answer:
                answer.read()
            times.append(time.monotonic() - started)
        return sorted(times)[10] * 1000, memory(pid)
    finally:
        for stream in idle:
            stream.close()


# Calls without a pause.


def endurance(port, pid):
    unscraped = []

    def scrape(end):
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/metrics", timeout=30) as answer:
                    answer.read()
            # Otherwise its thread would end, and nothing else.
            except (OSError, http.client.HTTPException) as error:
                unscraped.append(repr(error))
            time.sleep(5)

    requests, samples = 0, []
    for scraped in (False, True):
        seconds = MINUTES * 60 / 2
        end = time.monotonic() + seconds
        if scraped:
            threading.Thread(target=scrape, args=(end,), daemon=True).start()
        wrk = subprocess.Popen(
            ["nice", "wrk", "-t1", "-c8", f"-d{seconds:g}s", f"http://127.0.0.1:{port}/api/x"],
            stdout=subprocess.PIPE,
            text=True,
        )
        while wrk.poll() is None:
            time.sleep(seconds / 20)
            samples.append(memory(pid))
        out = wrk.communicate()[0]
        if "Non-2xx" in out or "Socket errors" in out:
            status = urllib.request.urlopen(f"http://127.0.0.1:{port}/-/status").read().decode()
            raise Failed(f"{out}{status}")
        check(not unscraped, f"the scraper failed {len(unscraped)} times: {unscraped[:5]}")
        requests += int(re.search(r"(\d+) requests in", out).group(1))
    # The first tenth is for pools and caches to fill.
    steady = samples[len(samples) // 10 :]
    return requests, min(steady), max(steady)


def main():
    os.environ["no_proxy"] = "127.0.0.1"
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    api = multiprocessing.Process(target=vendor, args=(listener,), daemon=True)
    api.start()
    at = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with tempfile.TemporaryDirectory() as directory:
        config = pathlib.Path(directory) / "biped.toml"
        config.write_text(
            f"""
[providers.api]
kind = "oauth2"
token_endpoint = "{at}/token"
api_base_url = "{at}"
client_id = "me"
client_secret = "secret"
[serve]
listen = ["127.0.0.1:0"]
access_log = "off"
"""
        )
        sidecar = subprocess.Popen(
            [BIPED, "--config", config, "serve"], stdout=subprocess.PIPE, text=True
        )
        try:
            port = int(sidecar.stdout.readline().strip().rsplit(":", 1)[1])
            run(port, sidecar.pid)
            sidecar.send_signal(signal.SIGTERM)
            check(sidecar.wait(timeout=40) == 0, "the sidecar's status is not 0")
        finally:
            sidecar.kill()
            api.kill()


def run(port, pid):
    print(f"after the start: {memory(pid):.1f} MiB")
    took = matrix(port)
    print(f"{CALLS} calls in {len(CASES)} turns, 32 at a time: as expected, {took:.0f} s,"
          f" {memory(pid):.1f} MiB")
    for name, move in (("down", download), ("up", upload)):
        forget_peak(pid)
        before = memory(pid)
        started = time.monotonic()
        move(port)
        took, grown = time.monotonic() - started, memory(pid, "VmHWM") - before
        print(f"{GIB} GiB {name}: {took:.0f} s, the peak grew by {grown:.1f} MiB")
        check(grown < 8, "the peak grew by 8 MiB or more")
    time_of_one, held = crowd(port, pid)
    print(f"{CONNECTIONS} open connections: {held:.0f} MiB, a new one is served in"
          f" {time_of_one:.1f} ms (median of 21)")
    check(held < 150, "10 000 connections cost 150 MiB or more")
    requests, least, most = endurance(port, pid)
    print(f"{MINUTES:g} min without a pause: {requests} calls, none failed,"
          f" {least:.1f} to {most:.1f} MiB")


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(f"failed: {error}")
