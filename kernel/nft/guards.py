"""What a container's port may send: the `bridge` table, and who the host forwards nothing for.

Rules that hold here:
- A guarded port is let through by what is known of it, all else is dropped: a protocol that
  nobody has thought of can't be the way around.
- A frame is judged by the protocol that its own bytes name: `meta protocol`, which nft puts
  before some matches and not before others, is of what is behind the first VLAN tag.
"""

from __future__ import annotations

from .shapes import NftSet, Rule, TableLayout

FRAME_SETS = (
    NftSet("guarded", "bridge", ("ifname",), "ports that may send from known MACs only"),
    NftSet("allowed", "bridge", ("ifname", "ether_addr"), "guarded ports and their MACs"),
    NftSet("addressed", "bridge", ("ifname",), "ports that may send from known addresses only"),
    NftSet("addressed4", "bridge", ("ifname", "ipv4_addr"), "those ports and their addresses"),
    NftSet("addressed6", "bridge", ("ifname", "ipv6_addr"), "those ports and their addresses"),
)
ROUTE_SETS = (
    NftSet("bridged", "inet", ("ifname",), "ports that may send to their bridge only"),
    NftSet("confined4", "inet", ("ifname", "ipv4_addr"), "bridges that nobody is routed from"),
    NftSet("confined6", "inet", ("ifname", "ipv6_addr"), "bridges that nobody is routed from"),
)

_SERVICES = (
    # A receiver takes off a tag of VLAN 0, and a bridge that of its port's VLAN. Below, an only
    # tag is no matter: the kernel has taken it off by the time a frame gets here.
    Rule(
        "services",
        "meta protocol { 0x8100, 0x88a8 } @nh,4,12 0 drop",
        "what a tag of no VLAN hides behind another is not seen",
    ),
    # Clients ask which port a message is for, hardly any from which it comes.
    Rule("services", "udp dport { 68, 546 } drop", "it is nobody's DHCP server"),
    # Router advertisement and redirect, multicast listener query and router advertisement
    Rule(
        "services",
        "meta protocol ip6 meta l4proto ipv6-icmp @th,0,8 { 130, 134, 137, 151 } drop",
        "it is nobody's router, IPv6",
    ),
    Rule(
        "services",
        "meta protocol ip meta l4proto icmp @th,0,8 5 drop",
        "it is nobody's router, redirect",
    ),
    # IGMP: membership query and multicast router advertisement
    Rule(
        "services",
        "meta protocol ip meta l4proto igmp @th,0,8 { 0x11, 0x30 } drop",
        "it is nobody's router, multicast",
    ),
)
"""What nobody of a network but its router, or who was told to, does for others."""

_ADDRESSES = (
    Rule("addresses", "iifname != @guarded jump services", "nobody's router or DHCP server"),
    # A receiver takes off the tags of VLAN 0, two of them if need be.
    Rule("addresses", "ether type != { ip, arp, ip6 } drop", "no other protocol, and no VLAN tag"),
    Rule("addresses", "iifname . ip saddr @addressed4 accept", "its own addresses, IPv4"),
    Rule("addresses", "iifname . arp saddr ip @addressed4 accept", "its own addresses, ARP"),
    # RFC 5227, section 2.1.1
    Rule(
        "addresses",
        "arp saddr ip 0.0.0.0 iifname . arp daddr ip @addressed4 accept",
        "whether somebody has its addresses, ARP",
    ),
    # RFC 2131, section 4.1
    Rule(
        "addresses",
        "ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept",
        "who has no address asks for one",
    ),
    # What is claimed is the target. nft can't look that up beside the port before its version
    # 1.0.9 (`icmpv6 taddr`), but it can be put where the next rules look: with Linux it stands
    # there already.
    Rule(
        "addresses",
        "icmpv6 type nd-neighbor-advert ip6 saddr set @th,64,128",
        "a claim comes from what it claims",
    ),
    # RFC 4862, section 5.4.2
    Rule(
        "addresses",
        "ip6 saddr :: icmpv6 type nd-neighbor-solicit ip6 saddr set @th,64,128"
        " iifname . ip6 saddr @addressed6 ip6 saddr set :: accept",
        "whether somebody has its addresses, IPv6",
    ),
    Rule("addresses", "iifname . ip6 saddr @addressed6 accept", "its own addresses, IPv6"),
    # RFC 3590 and RFC 4861, section 4.1: sent while the first address is still tentative.
    Rule(
        "addresses",
        "ip6 saddr :: icmpv6 type"
        " { mld-listener-report, mld2-listener-report, nd-router-solicit } accept",
        "who has no address yet joins in",
    ),
    Rule("addresses", "drop", "nobody else's address"),
)

FRAMES = TableLayout(
    family="bridge",
    version=3,
    chains={
        "addresses": "",
        "services": "",
        "prerouting": "type filter hook prerouting priority -300; policy accept;",
    },
    rules=(
        Rule(
            "prerouting",
            "iifname @guarded iifname . ether saddr != @allowed drop",
            "a guarded port sends from its own MACs only",
        ),
        Rule("prerouting", "iifname @guarded jump services", "and is nobody's router"),
        Rule("prerouting", "iifname @addressed jump addresses", "and from its own addresses only"),
        *_SERVICES,
        *_ADDRESSES,
    ),
    needs="CONFIG_NF_TABLES_BRIDGE",
)
"""The table of family `bridge`."""

PAST_THE_BRIDGE = Rule("raw", "iifname @bridged drop", "nothing gets past its bridge into the host")
"""What comes for the bridge's own addresses (IEEE 802.1Q, table 8-1) the kernel gives to the
host as if the port were an interface of its own, some of it before it asks any bridge's rules."""

CONFINED = tuple(
    Rule(
        "forward",
        f"iifname . {protocol} saddr @confined{family} oifname . {protocol} saddr"
        f" != @confined{family} drop",
        f"from a network without a gateway nothing goes on, IPv{family}",
    )
    for family, protocol in ((4, "ip"), (6, "ip6"))
)
"""With br_netfilter what stays on the bridge passes here, too, and goes on."""
