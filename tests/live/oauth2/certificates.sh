#!/usr/bin/env bash
# certificates.sh DIRECTORY: a CA, a server's certificate, and three clients' certificates.
set -euo pipefail
mkdir -p "$1"
cd "$1"
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key.pem"; }
issue() { # NAME SUBJECT EXTENSIONS
    key "$1"
    openssl req -new -key "$1.key.pem" -subj "$2" |
        openssl x509 -req -CA ca.pem -CAkey ca.key.pem -CAcreateserial -days 2 \
            -extfile <(printf '%s' "$3") -out "$1.pem" 2>/dev/null
}
key ca
openssl req -x509 -new -key ca.key.pem -subj "/CN=The CA of these tests" -days 2 \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign -out ca.pem
issue server /CN=localhost $'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth'
issue client /CN=client-7 'extendedKeyUsage=clientAuth'
issue other /CN=client-8 'extendedKeyUsage=clientAuth'
key self-signed
openssl req -x509 -new -key self-signed.key.pem -subj /CN=self-signed -days 2 \
    -addext extendedKeyUsage=clientAuth -out self-signed.pem
