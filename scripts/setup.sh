# Sourced by the other scripts: goes to the clone, and makes .venv there with pynet and its tools.
# Sets PYTHON. Quick where all is there already; leaves with 2 where root is needed, saying for what.
# PYTHON, where the caller sets it, is the interpreter that .venv is made from.

set -eu
cd "$(dirname "$0")/.."
chosen=${PYTHON:-}
path=$PATH
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

can_install() { [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; }

apt_install() {
    say "installing Debian packages: $*"
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q --yes \
        --no-install-recommends "$@"; } 2>&1 </dev/null
}

# Installs what is missing, or says which command has to be run by root.
install_missing() {
    [ -n "$missing" ] || return 0
    if ! can_install; then
        say "needed first, as root: apt-get install --yes$missing"
        exit 2
    fi
    log=$(mktemp)
    # shellcheck disable=SC2086 # a list of words
    if ! apt_install $missing >"$log"; then
        cat "$log" >&2
        rm -f "$log"
        say "apt-get could not install:$missing"
        exit 2
    fi
    rm -f "$log"
}

# Sets `interpreter`: what .venv is made from. The distribution's own comes before the first in
# PATH, which may be a version manager's below somebody's home, where no other user can run it.
choose_interpreter() {
    tell='import os, sys
print(os.path.realpath(sys.executable))
sys.exit(sys.version_info < (3, 11))'
    interpreter=
    if [ -n "$chosen" ]; then set -- "$chosen"; else set -- /usr/bin/python3 python3; fi
    for candidate; do
        found=$(PATH=$path && "$candidate" -c "$tell" 2>/dev/null) || continue
        interpreter=${interpreter:-$found}
        # What it lacks for a .venv, root installs; a user has to do without it.
        if [ "$(id -u)" -eq 0 ] || "$found" -c 'import ensurepip, venv' 2>/dev/null; then
            interpreter=$found
            break
        fi
    done
    [ -n "$interpreter" ] && return
    say "needed first: python3, 3.11 or newer${chosen:+; PYTHON=$chosen is not}"
    exit 2
}

# The launcher starts 0.25 ms sooner with it, and works without it.
wish_for_musl() {
    ! command -v musl-gcc >/dev/null 2>&1 && can_install || return 0
    apt_install musl-tools >/dev/null || say "going on without musl-tools"
}

# What .venv was installed from; a compiler that has come or gone makes another launcher.
stamp() {
    { cat pyproject.toml setup.py launcher/*.c launcher/*.h launcher/__init__.py
        command -v musl-gcc || :; } | sha256sum
}

set_up() {
    choose_interpreter
    "$interpreter" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
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
    place="$("$interpreter" --version) $interpreter $PWD"
    if [ "$(cat .venv/pynet-place 2>/dev/null)" != "$place" ]; then
        say "making .venv: pynet and its tools (once, about a minute)"
        "$interpreter" -m venv --clear .venv
        printf '%s\n' "$place" >.venv/pynet-place
    fi
    if [ "$(cat .venv/pynet-stamp 2>/dev/null)" != "$(stamp)" ]; then
        wish_for_musl
        say "installing pynet into .venv, from the tree"
        "$PYTHON" -m pip install -qq --disable-pip-version-check --editable '.[dev]' </dev/null
        stamp >.venv/pynet-stamp
    fi
    exec 9<&-
}

set_up
