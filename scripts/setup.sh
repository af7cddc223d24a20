# Sourced by the other scripts: goes to the clone, and makes .venv there with pynet and its tools.
# Sets PYTHON. Quick where all is there already; leaves with 2 where root is needed, saying for what.

set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin"
PYTHON="$PWD/.venv/bin/python"
export PATH

say() { printf '%s\n' "$*" >&2; }

# need FILE-OR-COMMAND PACKAGE: notes the Debian package whose file or command is not there.
missing=
need() {
    case $1 in
    /*) ls $1 >/dev/null 2>&1 || missing="$missing $2" ;;
    *) command -v "$1" >/dev/null 2>&1 || missing="$missing $2" ;;
    esac
}

# Installs what is missing, or says which command has to be run by root.
install_missing() {
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        say "needed first, as root: apt-get install --yes$missing"
        exit 2
    fi
    say "installing Debian packages:$missing"
    log=$(mktemp)
    # shellcheck disable=SC2086 # a list of words
    if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q --yes \
        --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        rm -f "$log"
        say "apt-get could not install:$missing"
        exit 2
    fi
    rm -f "$log"
}

set_up() {
    command -v python3 >/dev/null 2>&1 || { say "needed first: python3, 3.11 or newer"; exit 2; }
    if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        say "needed first: python3, 3.11 or newer; this one is $(python3 --version)"
        exit 2
    fi
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
    need cc gcc
    need /usr/include/stdio.h libc6-dev
    need '/usr/lib/*/libnftables.so.1' libnftables1
    need ip iproute2
    need nft nftables
    need ping iputils-ping
    install_missing
    # One set-up at a time; the lock is the clone itself.
    exec 9<.
    flock 9
    place="$(python3 --version) $PWD"
    if [ "$(cat .venv/pynet-place 2>/dev/null)" != "$place" ]; then
        say "making .venv: pynet and its tools (once, about a minute)"
        python3 -m venv --clear .venv
        printf '%s\n' "$place" >.venv/pynet-place
    fi
    stamp=$(cat pyproject.toml setup.py launcher/launcher.c launcher/__init__.py | sha256sum)
    if [ "$(cat .venv/pynet-stamp 2>/dev/null)" != "$stamp" ]; then
        say "installing pynet into .venv, from the tree"
        "$PYTHON" -m pip install -qq --disable-pip-version-check --editable '.[dev]' </dev/null
        printf '%s\n' "$stamp" >.venv/pynet-stamp
    fi
    exec 9<&-
}

set_up
