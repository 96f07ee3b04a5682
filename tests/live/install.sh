# install_packages PACKAGE...: installs Debian packages, as root or with sudo, without starting what they bring.
# For the suites, which source this file.
install_packages() {
    local as_root=()
    if [ "$(id -u)" != 0 ]; then as_root=(sudo); fi
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

has_postgres() { command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }
has_redis() { command -v redis-server >/dev/null; }
