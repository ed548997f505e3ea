"""The gateway's settings, from the environment."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from berth_events.runtime.settings import ServiceSettings
from berth_net import Policy, parse_nameserver
from berth_vault import parse_public_key

__all__ = ["GatewaySettings"]


def _public_key(text: str) -> str:
    parse_public_key(text)
    return text


def _nameservers(text: str) -> str:
    for entry in _entries(text):
        parse_nameserver(entry)
    return text


def _networks(text: str) -> str:
    Policy.parse(allow_networks=text)
    return text


def _ports(text: str) -> str:
    Policy.parse(allow_ports=text)
    return text


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]


class GatewaySettings(ServiceSettings):
    """What the gateway needs besides what every service has. Each is checked here, before anything starts."""

    berth_platform_key: SecretStr = Field(
        min_length=16, description="the operator's key: makes organizations, projects and API keys"
    )
    berth_vault_public_key: Annotated[str, AfterValidator(_public_key)] = Field(
        description="ID:BASE64; credentials are sealed to it"
    )
    berth_dns_servers: Annotated[str, AfterValidator(_nameservers)] = Field(
        default="", description="address:port,...; default: those of the system"
    )
    berth_allow_networks: Annotated[str, AfterValidator(_networks)] = Field(
        default="", description="private networks that mail servers may be in: 10.0.0.0/8,..."
    )
    berth_allow_ports: Annotated[str, AfterValidator(_ports)] = Field(
        default="", description="ports besides 143, 465, 587, 993 and 2525"
    )

    def dns_servers(self) -> list[str]:
        """The name servers as `berth_net` takes them."""
        return _entries(self.berth_dns_servers)
