"""Rates as they are written: `6000/minute`."""

from typing import Final

from limits import parse

__all__ = ["RATE", "per_second"]

#: What a rate looks like; of everything that the library reads, only this means the same to everybody.
RATE: Final = r"^[1-9][0-9]{0,6}/(second|minute|hour|day)$"


def per_second(rate: str) -> float:
    """How many in a second."""
    limit = parse(rate)
    return float(limit.amount / limit.get_expiry())
