# Installs and starts the authorization servers of tests/live/oauth2 and tests/live/rotation: oidc-provider from
# npm, django-oauth-toolkit from PyPI, Glewlwyd from Debian. To be sourced, with $root set.
oauth2=$root/tests/live/oauth2
cache=$root/target/live/oauth2
keys=$root/crates/providers/oauth2/tests/keys
glewlwyd=2.7.5-3+deb12u1
# What Glewlwyd's server stands on and a machine may lack; the packages of its web pages are left out.
libraries=(libconfig9 libmariadb3 liborcania2.3 libyder2.0 libhoel1.4 librhonabwy1.1
    libmicrohttpd12 libulfius2.7 libiddawc1.1 liboath0)

say() { printf '%4s s  %s\n' "$SECONDS" "$*"; }

work=$(mktemp -d)
started=()
stop() {
    for pid in "${started[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

# Installs what is not there yet: once NAME STAMP COMMAND…, again where the stamp has changed.
once() {
    local name=$1 stamp=$2
    shift 2
    if [ "$(cat "$cache/$name/.installed" 2>/dev/null)" = "$stamp" ]; then
        return
    fi
    say "installing $name"
    rm -rf "${cache:?}/$name"
    mkdir -p "$cache/$name"
    if ! "$@" >"$cache/$name.log" 2>&1; then
        cat "$cache/$name.log" >&2
        echo "$name could not be installed" >&2
        exit 1
    fi
    printf '%s' "$stamp" >"$cache/$name/.installed"
}

install_oidc_provider() {
    cp "$oauth2"/oidc-provider/package*.json "$cache/oidc-provider"
    (cd "$cache/oidc-provider" && npm ci --no-audit --no-fund --ignore-scripts)
}

install_django() {
    python3 -m venv "$cache/django/venv"
    "$cache/django/venv/bin/pip" install --quiet --disable-pip-version-check \
        --only-binary :all: --no-deps -r "$oauth2/django/requirements.txt"
}

install_glewlwyd() {
    cd "$cache/glewlwyd"
    local packages=("glewlwyd=$glewlwyd" "glewlwyd-common=$glewlwyd" "${libraries[@]}")
    if ! apt-get download "${packages[@]}"; then
        apt-get update
        apt-get download "${packages[@]}"
    fi
    local package
    for package in *.deb; do
        dpkg-deb -x "$package" root
    done
    rm -- *.deb
}

once oidc-provider "$(sha256sum "$oauth2"/oidc-provider/package*.json)" install_oidc_provider
once django "$(sha256sum "$oauth2/django/requirements.txt")" install_django
once glewlwyd "$glewlwyd" install_glewlwyd
# The modules look for their packages beside themselves.
cp "$oauth2"/oidc-provider/*.mjs "$cache/oidc-provider"

read -r oidc nonce tls django glewlwyd_port glewlwyd_api < <(python3 - <<'PORTS'
import socket

sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(6)]
print(*(s.getsockname()[1] for s in sockets))
PORTS
)

# Starts a server and waits until it has said "ready" so many times: start NAME TIMES COMMAND…
start() {
    local name=$1 times=$2
    shift 2
    "$@" >"$work/$name.log" 2>&1 &
    started+=($!)
    for _ in $(seq 300); do
        if [ "$(grep -c '^ready' "$work/$name.log")" -ge "$times" ]; then
            return
        fi
        kill -0 "${started[-1]}" 2>/dev/null || break
        sleep 0.1
    done
    cat "$work/$name.log" >&2
    echo "$name doesn't start" >&2
    exit 1
}

start_servers() {
    say "starting the servers"
    "$oauth2/certificates.sh" "$work/certificates"
    start oidc-provider 3 node "$cache/oidc-provider/server.mjs" "$keys" "$work/certificates" \
        "$oidc" "$nonce" "$tls"
    start django 1 "$cache/django/venv/bin/python" "$oauth2/django/server.py" "$django" "$work/django.db"
    mkdir "$work/glewlwyd"
    start glewlwyd 1 python3 "$oauth2/glewlwyd/server.py" "$cache/glewlwyd/root" "$work/glewlwyd" \
        "$glewlwyd_port" "$keys"
}
