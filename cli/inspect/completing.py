"""What shells complete after `pynet inspect`: the nouns of what is on record."""

from __future__ import annotations

import click

from ..cni.completing import Words, completer


@completer
def anything(ctx: click.Context, incomplete: str) -> Words:
    """Whatever an attachment is found by, but for MAC addresses, paths and pids."""
    from ...model.shown import short_id
    from .on_record import on_record

    for found in on_record():
        where = f"{short_id(found.container)} on {found.network}"
        yield found.network, "network"
        yield short_id(found.container), "container"
        yield found.container, "container"
        yield found.interface, where
        yield found.host_interface, where
        yield found.bridge, f"bridge of {found.network}"
        yield found.leg, f"the host in {found.network}"
        for address in found.addresses:
            yield address.partition("/")[0], where
        for port in found.ports:
            yield f"{port.host_port}/{port.protocol}", where
