"""The data file, as lines of a table of mail services."""

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any, Final

from berth_gateway.autoconfig.ispdb.source import DOMAIN
from berth_gateway.autoconfig.services import (
    Authentication,
    MailService,
    Security,
    Server,
    SignIn,
    UsernameForm,
)

__all__ = ["ispdb_services", "services_of"]

_SECURITIES: Final[Mapping[str, Security]] = {"SSL": "tls", "STARTTLS": "starttls"}
_USERNAMES: Final[Mapping[str, UsernameForm]] = {
    "%EMAILADDRESS%": "address",
    "%EMAILLOCALPART%": "local_part",
    f"%EMAILLOCALPART%.{DOMAIN}": "address_with_dot",
}
_AUTHENTICATIONS: Final[Mapping[str, Authentication]] = {
    "password-cleartext": "password",
    "password-encrypted": "encrypted_password",
    "OAuth2": "oauth",
}
_SIGN_INS: Final[Mapping[Authentication, SignIn]] = {
    "password": "password",
    "encrypted_password": "password",
    "oauth": "oauth",
}


def ispdb_services() -> list[MailService]:
    """What comes with Berth."""
    return services_of(files("berth_gateway.autoconfig.ispdb").joinpath("providers.json").read_text(encoding="utf-8"))


def services_of(document: str) -> list[MailService]:
    """The services of a data file."""
    return [_service(provider) for provider in json.loads(document)["providers"]]


def _service(provider: Mapping[str, Any]) -> MailService:
    imap, smtp = _servers(provider["imap"]), _servers(provider["smtp"])
    methods = (method for server in (*imap, *smtp) for method in server.authentication)
    return MailService(
        table="ispdb",
        code=provider["id"].lower(),
        name=provider["name"],
        provider="custom",
        domains=tuple(provider["domains"]),
        exchanges=tuple(provider["domains"]),  # one list for both, as in the source
        imap=imap,
        smtp=smtp,
        sign_in=tuple(dict.fromkeys(map(_SIGN_INS.__getitem__, methods))),
        help_url=provider["help_url"],
    )


def _servers(servers: Iterable[Mapping[str, Any]]) -> tuple[Server, ...]:
    return tuple(
        Server(
            host=server["host"].replace(DOMAIN, "{domain}"),
            port=server["port"],
            security=_SECURITIES[server["socket_type"]],
            username=_USERNAMES[server["username"]],
            authentication=tuple(map(_AUTHENTICATIONS.__getitem__, server["authentication"])),
        )
        for server in servers
    )
