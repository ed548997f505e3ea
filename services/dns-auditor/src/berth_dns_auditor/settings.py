"""The DNS auditor's settings, from the environment."""

from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from berth_dns_auditor.nameservers import Nameserver
from berth_events.runtime.settings import ServiceSettings
from berth_net import parse_nameserver

__all__ = ["AuditorSettings", "DnsSettings"]


def _nameservers(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(Nameserver(*parse_nameserver(text)) for text in value.split(",") if text.strip())


class DnsSettings(BaseSettings):
    """Whom to ask."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    berth_dns_servers: Annotated[tuple[Nameserver, ...], NoDecode, BeforeValidator(_nameservers)] = Field(
        default=(), description="recursive name servers, address:port,...; default: those of the system"
    )


class AuditorSettings(ServiceSettings, DnsSettings):
    """What the service needs."""
