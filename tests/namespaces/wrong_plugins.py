"""Shell scripts that are CNI plugins and do wrong, each in its own way: for what must see it.

Without a fault, `MAIN` makes an interface, a rule, a file, and turns forwarding on; DEL, CHECK, GC
and STATUS do nothing and succeed, and nothing that it is given is looked at.
"""

from __future__ import annotations

from pathlib import Path

_HEAD = """#!/bin/sh
faults=' {faults} '
has() {{ case $faults in *" $1 "*) return 0 ;; esac; return 1; }}
fail() {{ echo "{{\\"cniVersion\\": \\"1.1.0\\", \\"code\\": 999, \\"msg\\": \\"$1\\"}}"; exit 1; }}
config=$(cat)
file=/run/wrong/$CNI_CONTAINERID-$CNI_IFNAME
if has no-path && [ -z "$CNI_PATH" ]; then fail 'no CNI_PATH'; fi
if has strict && [ -n "$CNI_ARGS" ]; then fail 'unknown arguments'; fi
if has strict; then case $config in *com.example*) fail 'unknown keys' ;; esac; fi
case $CNI_COMMAND in
VERSION)
    if has no-versions; then exit 0; fi
    echo '{{"cniVersion": "1.1.0", "supportedVersions": ["0.1.0", "0.4.0", "1.0.0", "1.1.0"]}}'
    exit ;;
CHECK) if has suspicious; then fail 'never content'; fi; exit ;;
GC | STATUS) if has unavailable; then fail 'not today'; fi; exit ;;
DEL) if has needs-state && [ ! -e "$file" ]; then fail 'not attached'; fi; exit ;;
esac
"""
MAIN = (
    _HEAD
    + """
exec 2>/dev/null
if has needs-new && [ -e "$file" ]; then fail 'duplicate'; fi
mkdir -p /run/wrong
touch "$file"
in="ip -n ${{CNI_NETNS##*/}}"
ip link add "w$$" type veth peer name "p$$"
ip link set "p$$" netns "${{CNI_NETNS##*/}}" name "$CNI_IFNAME"
$in addr add 10.88.0.2/24 dev "$CNI_IFNAME"
$in link set "$CNI_IFNAME" up
$in route add 10.200.0.0/16 via 10.88.0.1
ip addr add 10.88.0.1/24 dev "w$$"
ip link set "w$$" up
echo 1 >/proc/sys/net/ipv4/ip_forward
nft 'add table ip wrong; add chain ip wrong own; add rule ip wrong own ip saddr 10.88.0.2 accept'
if has leases && [ -e /run/wrong/lease ]; then fail 'no address'; fi
touch /run/wrong/lease
case $config in *conformance-ipam*)
    answer=$(echo '{{}}' | CNI_IFNAME=other /run/conformance/conformance-ipam) || fail 'no address'
    case $answer in *192.0.2.77*) fail 'no such gateway' ;; esac ;;
esac
mac=$($in -o link show "$CNI_IFNAME" | sed 's/.*ether \\([^ ]*\\).*/\\1/')
sandbox=$CNI_NETNS
if has elsewhere; then sandbox=/proc/1/ns/net; fi
address=10.88.0.2/24
if has lies; then address=10.88.0.99/24; fi
ips="[{{\\"address\\": \\"$address\\", \\"gateway\\": \\"10.88.0.1\\", \\"interface\\": 1}}]"
if has bare; then ips='[]'; fi
cat <<END
{{"cniVersion": "1.1.0", "interfaces": [{{"name": "w$$"}},
 {{"name": "$CNI_IFNAME", "mac": "$mac", "sandbox": "$sandbox"}}],
 "ips": $ips, "routes": [{{"dst": "10.200.0.0/16"}}]}}
END
case $CNI_NETNS in /proc/self/*) has two-answers && fail 'one more answer' ;; esac
exit 0
"""
)
CHAINED = (
    _HEAD
    + """
nsenter --net="$CNI_NETNS" sysctl -qw "net.ipv4.conf.$CNI_IFNAME.arp_filter=1" 2>/dev/null
echo '{{"cniVersion": "1.1.0"}}'
"""
)
IPAM = (
    _HEAD
    + """
echo '{{"cniVersion": "1.1.0", "interfaces": [{{"name": "eth0"}}],
 "ips": [{{"address": "10.88.0.2/24", "interface": 0}}]}}'
"""
)
SAYS = """#!/bin/sh
[ "$CNI_COMMAND" != VERSION ] ||
    {{ echo '{{"cniVersion": "1.1.0", "supportedVersions": ["1.1.0"]}}'; exit; }}
cat <<'END'
{faults}
END
"""
"""Answers everything but VERSION with its fault, and succeeds."""
LEAVES_SOMEBODY = """#!/bin/sh
sleep 1000 &
exit 1
"""
_SCRIPTS = {
    "bridge": MAIN,
    "host-local": IPAM,
    "loopback": MAIN,
    "macvlan": MAIN,
    "portmap": CHAINED,
}


def make(folder: Path, *faults: str) -> Path:
    """The plugins of that directory, all with these faults; the directory."""
    for name, script in _SCRIPTS.items():
        write(folder / name, script, *faults)
    return folder


def write(path: Path, script: str, *faults: str) -> None:
    """One of them under any name."""
    path.write_text(script.format(faults=" ".join(faults)))
    path.chmod(0o755)
