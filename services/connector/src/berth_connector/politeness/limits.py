"""The limits that are shipped, and what an operator may decide instead."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Final
from uuid import UUID

from berth_connector.politeness.providers import providers
from berth_events.runtime.budgets import Limit, Rules
from berth_net import Address, HostRefused, Policy, canonical_name
from berth_net.addresses import in_networks, unwrap

__all__ = [
    "SCOPES",
    "LimitRefused",
    "Shipped",
    "address_name",
    "checked_limit",
    "checked_name",
    "egress_name",
    "shipped",
    "shipped_rules",
]

#: Destinations are providers, addresses and hosts.
SCOPES: Final = ("provider", "address", "host", "organization", "egress")
_MOST: Final = {"max_in_flight": 10_000, "per_minute": 100_000, "max_refusals": 1_000}
_EGRESS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_-]{0,63}")
#: Of IPv6 a customer of a network has as many addresses as that.
_IPV6_CUSTOMER: Final = 64


class LimitRefused(ValueError):
    """The limit is not changed: one of its fields is not valid. Correct the field that is named."""

    def __init__(self, field: str, remedy: str) -> None:
        """Take which field, and what to enter."""
        super().__init__(f"{field}: {remedy}")
        self.field = field


@dataclass(frozen=True, slots=True)
class Shipped:
    """A limit that is shipped, and why it is what it is."""

    limit: Limit
    why: str


@cache
def shipped() -> Mapping[tuple[str, str], Shipped]:
    """The shipped limits, by scope and name."""
    text = files("berth_connector.politeness").joinpath("limits.csv").read_text(encoding="utf-8")
    return {
        (row["scope"], row["name"]): Shipped(
            Limit(*(int(row[name]) if row[name] else None for name in _MOST)), row["why"]
        )
        for row in csv.DictReader(text.splitlines())
    }


def shipped_rules(policy: Policy) -> Rules:
    """The shipped limits, and which destination is of which scope.

    Args:
        policy: names the networks of the operator's own; servers in them are hosts, which nobody gets banned by.
    """

    def scope_of(destination: str) -> str:
        try:
            network = ip_network(destination)
        except ValueError:
            return "host" if "." in destination else "provider"
        return "host" if in_networks(network.network_address, policy.allow_networks) else "address"

    return Rules(scope_of, {key: one.limit for key, one in shipped().items()})


def address_name(address: Address) -> str:
    """What an address is called as a destination: itself; of IPv6 the network that it shares with its neighbours."""
    plain = unwrap(address)
    return str(plain) if isinstance(plain, IPv4Address) else str(ip_network((plain, _IPV6_CUSTOMER), strict=False))


def egress_name(text: str) -> str:
    """The name of an egress address, checked.

    Raises:
        ValueError: it has other characters, or is too long.
    """
    if text and not _EGRESS.fullmatch(text):
        raise ValueError(
            "give an address, or a name of at most 64 letters, digits, dots, colons, hyphens and underscores"
        )
    return text


def checked_name(scope: str, name: str) -> str:
    """The canonical form of what a limit is about.

    Raises:
        LimitRefused: there is no such thing.
    """
    if scope not in SCOPES:
        raise LimitRefused("scope", f"is one of {', '.join(SCOPES)}")
    if name == "*":
        return name
    try:
        if scope == "address":
            return address_name(ip_address(name.partition("/")[0]))
        if scope == "host":
            return canonical_name(name)
        if scope == "organization":
            return str(UUID(name))
        if scope == "egress":
            return egress_name(name)
    except (HostRefused, ValueError) as error:
        wanted = {"address": "an IP address", "host": "a host name", "organization": "the organization's id (a UUID)"}
        raise LimitRefused("name", f"give {wanted[scope]}, or *" if scope in wanted else f"{error}, or *") from error
    if name not in providers():
        raise LimitRefused("name", f"give one of {', '.join(providers())}, or *")
    return name


def checked_limit(scope: str, values: Mapping[str, int | None]) -> Limit:
    """A limit of an operator's.

    Args:
        scope: what it is about.
        values: `max_in_flight`, `per_minute` and `max_refusals`, as far as they are given.

    Raises:
        LimitRefused: a number is too small or too large, or the scope has no such limit; or nothing is given.
    """
    given = {name: value for name, value in values.items() if value is not None}
    if not given:
        raise LimitRefused("max_in_flight", "give it, or per_minute or max_refusals")
    for name, value in given.items():
        least = 0 if name == "max_in_flight" else 1
        if scope in {"organization", "egress"} and name != "max_in_flight":
            raise LimitRefused(name, f"is for provider, address and host; {scope} has max_in_flight only")
        if not least <= value <= _MOST[name]:
            raise LimitRefused(name, f"give a number from {least} to {_MOST[name]}")
    return Limit(**given)
