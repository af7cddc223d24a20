# Sourced by scripts/vm, after setup.sh: Debian's own kernels, unpacked in .venv and never installed,
# so that this machine boots as before.

# The mirror that this machine's apt has for its own release, or else Debian's.
mirror() {
    release=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Identifier: Packages' 2>/dev/null |
        sed -n "s/^$release //p" | grep . || echo http://deb.debian.org/debian/
}

# apt for another release: nothing of this machine's but how it reaches mirrors (a proxy, say).
apt_for() {
    mkdir -p "$2/lists/partial"
    : >"$2/status"
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb [signed-by=$keyring arch=amd64] $uri $1 main" >"$2/sources.list"
    cat >"$2/apt.conf" <<END
Dir::State "$2";
Dir::State::lists "$2/lists";
Dir::State::status "$2/status";
Dir::Cache "$2";
Dir::Etc::sourcelist "$2/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "amd64";
APT::Sandbox::User "root";
Acquire::Languages "none";
END
}

# fetch_kernel RELEASE DIRECTORY: that release's newest kernel with its modules, once. apt compares
# the package with its checksum in the list, and the list with the archive's signature.
fetch_kernel() {
    [ ! -d "$2" ] || return 0
    uri=$(mirror | head -n 1)
    rm -rf "$2.new"
    apt_for "$1" "$2.new/apt"
    export APT_CONFIG="$2.new/apt/apt.conf"
    apt-get update -qq -o APT::Update::Error-Mode=any >&2 ||
        { say "apt could not read what packages Debian $1 has, at $uri"; exit 2; }
    package=$(apt-cache depends linux-image-amd64 2>/dev/null |
        sed -n 's/^ *Depends: \(linux-image-[0-9]\)/\1/p')
    [ -n "$package" ] || { say "$uri has no linux-image-amd64 of Debian $1"; exit 2; }
    say "fetching $package of Debian $1 (about 100 MB, once)"
    (cd "$2.new/apt" && apt-get download -qq "$package" >&2) ||
        { say "apt could not fetch $package from $uri"; exit 2; }
    unset APT_CONFIG
    dpkg-deb --fsys-tarfile "$2.new"/apt/*.deb | tar -x -C "$2.new" \
        --exclude='*/drivers/gpu' --exclude='*/drivers/media' --exclude='*/kernel/sound' \
        --exclude='./usr/share'
    # Where the release has its modules below /usr, the emulator looks for them beside it.
    [ -e "$2.new/lib" ] || ln -s usr/lib "$2.new/lib"
    rm -r "$2.new/apt"
    mv "$2.new" "$2"
}
