"""Searches core dumps of the command for private keys.

dump.py BIPED CONFIG ISSUER WORK KEYS NAME=KEY…

Each provider NAME of CONFIG gets a token at the server ISSUER, which holds its response back. Meanwhile the process
is dumped, and KEYS/KEY.pem is searched in the dump: its text, its DER, and its private numbers in both orders of
bytes. A name that begins with "file" must be found, since the key is in the process; no other may be.
"""
import json
import re
import subprocess
import sys
import time
import urllib.request


def run(*command):
    return subprocess.run(command, check=True, capture_output=True).stdout


def needles(path):
    """What of a private key may be in memory, by name."""
    pem = open(path, "rb").read()
    body = b"".join(line for line in pem.splitlines() if not line.startswith(b"-----"))
    lines = [line for line in pem.splitlines() if not line.startswith(b"-----")]
    found = {"PEM": body, "a line of PEM": lines[0]}
    for name, form in (("PKCS#8", ["pkcs8", "-topk8", "-nocrypt"]), ("DER", ["pkey"])):
        try:
            found[name] = run("openssl", *form, "-in", path, "-outform", "DER")
        except subprocess.CalledProcessError:
            pass
    text = run("openssl", "pkey", "-in", path, "-noout", "-text").decode()
    numbers = re.findall(r"^(priv|privateExponent|prime1|prime2):\n((?:^ +[0-9a-f:]+\n)+)", text, re.M)
    for name, digits in numbers:
        number = bytes.fromhex(re.sub(r"[^0-9a-f]", "", digits)).lstrip(b"\0")
        assert len(number) > 24, name
        found[name] = number
        found[name + ", lowest byte first"] = number[::-1]
    assert len(numbers) in (1, 3), text
    return found


def received(issuer):
    with urllib.request.urlopen(issuer + "/counts") as answer:
        return json.load(answer)["received"]


def main():
    biped, config, issuer, work, keys, *rows = sys.argv[1:]
    wrong = []
    for name, key in (row.split("=") for row in rows):
        before = received(issuer)
        command = [biped, "--config", config, "--store", "memory", "token", name]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while received(issuer) == before:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                sys.exit(f"{name} asks for no token: {process.communicate()[1].decode()}")
            time.sleep(0.05)
        run("gcore", "-a", "-o", f"{work}/core", str(process.pid))
        said = process.communicate()[1].decode()
        if process.returncode != 0:
            sys.exit(f"{name} gets no token: {said}")
        path = f"{work}/core.{process.pid}"
        core = open(path, "rb").read()
        run("rm", path)
        # The dump is whole: what the process was started with, and what it sent, is in it.
        for present in (name.encode(), b"client_assertion"):
            assert present in core, present
        found = [what for what, needle in needles(f"{keys}/{key}.pem").items() if needle in core]
        print(f"{name}: {len(core) >> 20} MiB, found {', '.join(found) or 'nothing'}")
        if bool(found) != name.startswith("file"):
            wrong.append(name)
    if wrong:
        sys.exit(f"wrong: {', '.join(wrong)}")


main()
