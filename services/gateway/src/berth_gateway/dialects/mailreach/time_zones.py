"""Time zones as Rails names them, which MailReach takes, beside the IANA names, which it shows."""

import csv
from functools import cache
from importlib.resources import files

from berth_gateway.accounts.schemas import available_time_zones

__all__ = ["iana_name"]


@cache
def _rails() -> dict[str, str]:
    text = (files(__package__) / "time_zones.csv").read_text(encoding="utf-8")
    return {row["rails"]: row["iana"] for row in csv.DictReader(text.splitlines())}


def iana_name(name: str) -> str | None:
    """The IANA name of a time zone given by its Rails or its IANA name; None when it is neither."""
    if name in available_time_zones():
        return name
    return _rails().get(name)
