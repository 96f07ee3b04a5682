"""CPU time of a whole process: a command that finds its token in the file store, and one that does nothing."""

import http.server
import os
import pathlib
import statistics
import subprocess
import tempfile
import threading

from tokens import Tokens

PAIRS = int(os.environ.get("PAIRS", "41"))
BIPED = os.environ["BIPED"]


def cpu(*arguments):
    """The CPU time of a process in milliseconds, of user and system together."""
    process = subprocess.Popen([BIPED, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"biped {' '.join(map(str, arguments))}: status {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1e3


def main():
    os.environ["no_proxy"] = "127.0.0.1"
    tokens = http.server.HTTPServer(("127.0.0.1", 0), Tokens)
    threading.Thread(target=tokens.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as directory:
        config = pathlib.Path(directory) / "biped.toml"
        config.write_text(
            f"""
[store]
kind = "file"
path = "{directory}/tokens"
[providers.api]
kind = "oauth2"
token_endpoint = "http://127.0.0.1:{tokens.server_port}/token"
client_id = "me"
client_secret = "secret"
"""
        )
        token = ["--config", config, "token", "api"]
        cpu(*token)
        pairs = [(cpu(*token), cpu("--version")) for _ in range(PAIRS)]
    if Tokens.asked != 1:
        raise SystemExit(f"{Tokens.asked} token requests instead of 1")
    found, nothing = (statistics.median(each) for each in zip(*pairs))
    ratio = statistics.median(found / nothing for found, nothing in pairs)
    print(f"median of {PAIRS} pairs; CPU time of the process in ms")
    print("| token | --version | ratio |")
    print("| --- | --- | --- |")
    print(f"| {found:.2f} | {nothing:.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
