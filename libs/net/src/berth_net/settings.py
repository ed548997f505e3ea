"""What the environment says about name servers, and about the hosts that may be dialled: the same for every service."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from berth_net.guard import Policy
from berth_net.nameservers import parse_nameserver

__all__ = ["DnsSettings", "HostSettings"]


def _entries(value: object) -> object:
    return tuple(entry.strip() for entry in value.split(",") if entry.strip()) if isinstance(value, str) else value


def _nameservers(servers: tuple[str, ...]) -> tuple[str, ...]:
    for server in servers:
        parse_nameserver(server)
    return servers


def _networks(text: str) -> str:
    Policy.parse(allow_networks=text)
    return text


def _ports(text: str) -> str:
    Policy.parse(allow_ports=text)
    return text


class DnsSettings(BaseSettings):
    """Whom to ask."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    berth_dns_servers: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_entries), AfterValidator(_nameservers)] = (
        Field(
            default=(),
            description="name servers: address:port, tls://address, https://host/path,...; default: those of the system",
        )
    )


class HostSettings(DnsSettings):
    """Which hosts may be dialled. Each text is checked here, before anything starts."""

    berth_allow_networks: Annotated[str, AfterValidator(_networks)] = Field(
        default="", description="private networks that mail servers may be in: 10.0.0.0/8,..."
    )
    berth_allow_ports: Annotated[str, AfterValidator(_ports)] = Field(
        default="", description="ports besides 143, 465, 587, 993 and 2525"
    )

    def policy(self) -> Policy:
        """Which hosts and ports may be dialled."""
        return Policy.parse(self.berth_allow_networks, self.berth_allow_ports)
