"""Everything there is in a network namespace, as plain data to be compared before and after.

For tests and `doctor`, not for the hot path: it reads all there is, through pyroute2 and
libnftables, so that it does not share a mistake with the code it checks.
"""

from __future__ import annotations

from typing import Any

from .namespaces import entered

Census = dict[str, list[str]]


def census(namespace: int) -> Census:
    """{"links" | "addresses" | "routes" | "rules" | "nftables": lines} of the namespace.

    Indexes, counters, handles and lifetimes are left out.
    """
    from pyroute2 import IPRoute

    with entered(namespace), IPRoute() as kernel:
        names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in kernel.get_links()}
        return {
            "links": sorted(_link(link, names) for link in kernel.get_links()),
            "addresses": sorted(_address(each, names) for each in kernel.get_addr()),
            "routes": sorted(_route(each, names) for each in kernel.get_routes()),
            "rules": sorted(_rule(each) for each in (*kernel.get_rules(2), *kernel.get_rules(10))),
            "nftables": _ruleset(),
        }


def difference(before: Census, after: Census) -> dict[str, tuple[list[str], list[str]]]:
    """For each part that changed: (what is gone, what is new)."""
    return {
        part: (
            [line for line in before[part] if line not in after[part]],
            [line for line in after[part] if line not in before[part]],
        )
        for part in before
        if before[part] != after[part]
    }


def _link(link: Any, names: dict[int, str]) -> str:
    info = link.get_attr("IFLA_LINKINFO")
    kind = info.get_attr("IFLA_INFO_KIND") if info else ""
    master = names.get(link.get_attr("IFLA_MASTER"), "")
    state = "up" if link["flags"] & 1 else "down"
    promisc = "promisc" if link["flags"] & 0x100 else ""
    return _line(
        link.get_attr("IFLA_IFNAME"),
        kind,
        link.get_attr("IFLA_ADDRESS"),
        "mtu",
        link.get_attr("IFLA_MTU"),
        state,
        promisc,
        master and f"master {master}",
    )


def _address(each: Any, names: dict[int, str]) -> str:
    text = each.get_attr("IFA_LOCAL") or each.get_attr("IFA_ADDRESS")
    broadcast = each.get_attr("IFA_BROADCAST")
    return _line(names[each["index"]], f"{text}/{each['prefixlen']}", broadcast)


def _route(each: Any, names: dict[int, str]) -> str:
    gateway, metric = each.get_attr("RTA_GATEWAY"), each.get_attr("RTA_PRIORITY")
    return _line(
        "inet6" if each["family"] == 10 else "inet",
        f"type {each['type']}",
        f"{each.get_attr('RTA_DST') or 'default'}/{each['dst_len']}",
        gateway and f"via {gateway}",
        f"dev {names.get(each.get_attr('RTA_OIF'))}",
        f"table {each.get_attr('RTA_TABLE')}",
        metric and f"metric {metric}",
        f"scope {each['scope']}",
    )


def _rule(each: Any) -> str:
    attributes = sorted((name, str(value)) for name, value in each["attrs"])
    return _line(each["family"], each["action"], *(f"{name} {value}" for name, value in attributes))


def _ruleset() -> list[str]:
    import nftables

    library = nftables.Nftables()
    library.set_stateless_output(True)
    status, output, error = library.cmd("list ruleset")
    if status:
        raise RuntimeError(f"nft list ruleset: {error}")
    return str(output).splitlines()


def _line(*parts: Any) -> str:
    return " ".join(str(part) for part in parts if part not in (None, "", False))
