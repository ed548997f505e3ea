"""The gateway's settings, from the environment."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from berth_events.runtime.settings import ServiceSettings
from berth_gateway.tenants.rates import RATE
from berth_gateway.webhooks.secrets import parse_webhook_key
from berth_gateway.workspaces.hosts import MailHosts
from berth_net import Policy
from berth_net.settings import HostSettings
from berth_vault import parse_public_key

__all__ = ["GatewaySettings"]

RateLimit = Annotated[str, Field(pattern=RATE)]


def _public_key(text: str) -> str:
    parse_public_key(text)
    return text


def _webhook_key(key: SecretStr) -> SecretStr:
    parse_webhook_key(key.get_secret_value())
    return key


def _ports(text: str) -> str:
    Policy.parse(allow_ports=text)
    return text


def _mail_hosts(text: str) -> str:
    MailHosts.of("google", text)
    return text


class GatewaySettings(ServiceSettings, HostSettings):
    """What the gateway needs besides what every service has. Each is checked here, before anything starts."""

    berth_operator_key: SecretStr = Field(
        min_length=16, description="the operator's key: makes organizations, projects and API keys"
    )
    berth_vault_public_key: Annotated[str, AfterValidator(_public_key)] = Field(
        description="ID:BASE64; credentials are sealed to it"
    )
    berth_webhook_key: Annotated[SecretStr, AfterValidator(_webhook_key)] = Field(
        description="32 bytes in base64; the secrets of webhooks are encrypted with it"
    )
    berth_webhook_ports: Annotated[str, AfterValidator(_ports)] = Field(
        default="", description="ports besides 80 and 443 that webhooks may be sent to"
    )
    berth_rate_limit: RateLimit = Field(
        default="6000/minute",
        description="requests that an API key without a limit of its own may send to each replica",
    )
    berth_wrong_key_limit: RateLimit = Field(
        default="60/minute", description="wrong API keys that each replica looks up for one client address"
    )
    berth_google_mail_hosts: Annotated[str, AfterValidator(_mail_hosts)] = Field(
        default="",
        description="IMAP and SMTP of Google workspaces, `host:port:security,host:port:security`; default: Gmail's",
    )
    berth_microsoft_mail_hosts: Annotated[str, AfterValidator(_mail_hosts)] = Field(
        default="",
        description="likewise of Microsoft workspaces; default: those of Microsoft 365, for sovereign clouds others",
    )
