"""Rates, delays and losses as people write them, and as numbers.

A number without a unit is taken as it is kept (bit/s, seconds, a share); a text must name its
unit, or "20" would be twenty seconds to one reader and twenty milliseconds to the next.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

RATES = {
    "bit": Decimal(1),
    "kbit": Decimal(10**3),
    "mbit": Decimal(10**6),
    "gbit": Decimal(10**9),
}
DELAYS = {"us": Decimal("0.000001"), "ms": Decimal("0.001"), "s": Decimal(1)}
LOSSES = {"%": Decimal("0.01")}

_QUANTITY = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[A-Za-z%/]*)", re.ASCII)


def parse_rate(value: object) -> int:
    """Bits per second: of "10mbit", or of a number. Units as in tc(8), a kbit being 1000 bits.

    Raises ValueError.
    """
    rate = _parsed(value, "rate", RATES, 'such as "10mbit"')
    if rate < 1 or rate != rate.to_integral_value():
        raise ValueError(f'the rate {value!r} is not a whole number of bits per second: "10mbit"')
    return int(rate)


def rate_text(rate: int) -> str:
    """What `parse_rate` reads as this: in the largest unit of which it is a whole number."""
    whole = [unit for unit, size in RATES.items() if rate % int(size) == 0]
    return f"{rate // int(RATES[whole[-1]])}{whole[-1]}"


def parse_delay(value: object) -> float:
    """Seconds: of "20ms", or of a number. Raises ValueError."""
    return float(_parsed(value, "time", DELAYS, 'such as "20ms" or "1.5s"'))


def delay_text(delay: float) -> str:
    """What `parse_delay` reads as this."""
    exact = Decimal(repr(delay))
    unit = next((unit for unit in ("s", "ms") if exact >= DELAYS[unit]), "us")
    return _plain(exact / DELAYS[unit]) + unit if exact else "0s"


def parse_loss(value: object) -> float:
    """A share from 0 to 1: of "5%", or of a number. Raises ValueError."""
    loss = _parsed(value, "loss", LOSSES, 'such as "5%"')
    if loss > 1:
        raise ValueError(f'the loss {value!r} is more than everything: write "0%" to "100%"')
    return float(loss)


def loss_text(loss: float) -> str:
    """What `parse_loss` reads as this."""
    return _plain(Decimal(repr(loss)) / LOSSES["%"]) + "%"


def _parsed(value: object, what: str, units: Mapping[str, Decimal], example: str) -> Decimal:
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = Decimal(repr(value))
        if not number.is_finite() or number < 0:
            raise ValueError(f"the {what} {value!r} is no quantity: write one {example}")
        return number
    match = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"the {what} {value!r} is no quantity: write one {example}")
    number, unit = Decimal(match["number"]), match["unit"]
    if unit.lower() in units:
        return number * units[unit.lower()]
    known = ", ".join(units)
    if not unit:
        raise ValueError(f"the {what} {value!r} lacks its unit ({known}): write one {example}")
    raise ValueError(f"the {what} {value!r} has an unknown unit ({known}): write one {example}")


def _plain(number: Decimal) -> str:
    """Without an exponent, and without zeros at the end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
