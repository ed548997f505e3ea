"""The DNS auditor's settings, from the environment."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from berth_dns_auditor.assembly import EVERYTHING, Choice
from berth_dns_auditor.checks.block_lists import BlockLists
from berth_events.runtime.settings import ServiceSettings
from berth_net import canonical_name
from berth_net.settings import DnsSettings

__all__ = ["AuditorSettings"]


def _entries(value: object) -> object:
    return tuple(_split(value)) if isinstance(value, str) else value


def _zones(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(canonical_name(name) for name in names)


def _asks(text: str) -> str:
    unknown = [entry for entry in _split(text) if entry not in EVERYTHING]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not one of {', '.join(EVERYTHING)}")
    return text


def _split(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]


_Zones = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_entries), AfterValidator(_zones)]


class AuditorSettings(ServiceSettings, DnsSettings):
    """What the service needs."""

    berth_audit_asks: Annotated[str, AfterValidator(_asks)] = Field(
        default=",".join(EVERYTHING), description="what audits ask beside the resolver"
    )
    berth_block_lists_addresses: _Zones = Field(
        default=(), description="zones of block lists of addresses (DNSBL), in which sending addresses are looked up"
    )
    berth_block_lists_domains: _Zones = Field(
        default=(), description="zones of block lists of domains (DBL), in which audited domains are looked up"
    )

    def choice(self) -> Choice:
        """What audits ask."""
        lists = BlockLists(self.berth_block_lists_addresses, self.berth_block_lists_domains)
        asked = tuple(one for one in EVERYTHING if one in _split(self.berth_audit_asks))
        return Choice(asked=asked, lists=lists)
