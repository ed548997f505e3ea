"""The connector's settings, from the environment."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field, FilePath, SecretStr

from berth_events.runtime.settings import ServiceSettings
from berth_net import Policy, canonical_name, parse_nameserver
from berth_vault import Opener

__all__ = ["ConnectorSettings"]

#: What a client without a name of its own says (RFC 5321, section 4.1.4).
_NO_NAME: Final = "[127.0.0.1]"


def _private_keys(text: SecretStr) -> SecretStr:
    Opener.from_text(text.get_secret_value())
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


def _host_name(text: str) -> str:
    return text if text == _NO_NAME else canonical_name(text)


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]


class ConnectorSettings(ServiceSettings):
    """What the connector needs besides what every service has. Each is checked here, before anything starts."""

    vault_database_url: SecretStr = Field(description="the gateway's database, with the vault, as berth_connector")
    berth_vault_private_keys: Annotated[SecretStr, AfterValidator(_private_keys)] = Field(
        description="ID:BASE64,...; the newest last"
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
    berth_extra_ca_file: FilePath | None = Field(
        default=None, description="PEM of authorities that are trusted for mail servers besides the system's"
    )
    berth_ehlo_name: Annotated[str, AfterValidator(_host_name)] = Field(
        default=_NO_NAME, description="what SMTP's EHLO says: the public name of the address that connections come from"
    )
    berth_recheck_hours: float = Field(default=24, gt=0, description="how often a mailbox that works is looked at")

    def dns_servers(self) -> list[str]:
        """The name servers as `berth_net` takes them."""
        return _entries(self.berth_dns_servers)

    def policy(self) -> Policy:
        """Which hosts and ports may be dialled."""
        return Policy.parse(self.berth_allow_networks, self.berth_allow_ports)
