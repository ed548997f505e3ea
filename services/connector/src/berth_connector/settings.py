"""The connector's settings, from the environment."""

from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, FilePath, SecretStr

from berth_connector.politeness.limits import egress_name
from berth_events.runtime.settings import ServiceSettings
from berth_net import canonical_name
from berth_net.settings import HostSettings
from berth_vault import Opener

__all__ = ["ConnectorSettings"]

#: What a client without a name of its own says (RFC 5321, section 4.1.4).
_NO_NAME: Final = "[127.0.0.1]"


def _private_keys(text: SecretStr) -> SecretStr:
    Opener.from_text(text.get_secret_value())
    return text


def _host_name(text: str) -> str:
    return text if text == _NO_NAME else canonical_name(text)


def _https_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("give an https URL with a host")
    return text


class ConnectorSettings(ServiceSettings, HostSettings):
    """What the connector needs besides what every service has. Each is checked here, before anything starts."""

    vault_database_url: SecretStr = Field(description="the gateway's database, with the vault, as berth_connector")
    berth_vault_private_keys: Annotated[SecretStr, AfterValidator(_private_keys)] = Field(
        description="ID:BASE64,...; the newest last"
    )
    berth_extra_ca_file: FilePath | None = Field(
        default=None,
        description="PEM of authorities that are trusted besides the system's, for mail servers and token endpoints",
    )
    berth_ehlo_name: Annotated[str, AfterValidator(_host_name)] = Field(
        default=_NO_NAME, description="what SMTP's EHLO says: the public name of the address that connections come from"
    )
    berth_egress_address: Annotated[str, AfterValidator(egress_name)] = Field(
        default="",
        description="where this connector's connections come from, an address or a name for it: connectors with the same one "
        "share limits and are left out together",
    )
    berth_checkup_wait_seconds: float = Field(
        default=300, gt=0, le=3600, description="for how long a checkup waits for its message"
    )
    berth_recheck_hours: float = Field(default=24, gt=0, description="how often a mailbox that works is looked at")
    berth_google_token_url: Annotated[str, AfterValidator(_https_url)] = Field(
        default="https://oauth2.googleapis.com/token", description="where Google gives access tokens"
    )
    berth_microsoft_authority: Annotated[str, AfterValidator(_https_url)] = Field(
        default="https://login.microsoftonline.com", description="where Microsoft gives access tokens; without a tenant"
    )
