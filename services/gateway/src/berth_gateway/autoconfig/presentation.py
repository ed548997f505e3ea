"""From what was found to the API's answer, and to servers for an account."""

from berth_gateway.accounts.addresses import MailAddress
from berth_gateway.autoconfig.findings import Findings, Place
from berth_gateway.autoconfig.schemas import Autoconfiguration, FoundServer, LookedUp, MailServiceSummary

__all__ = ["autoconfiguration", "username_of"]


def autoconfiguration(address: MailAddress, found: Findings) -> Autoconfiguration:
    """The answer for one address."""
    service = found.service
    return Autoconfiguration(
        email=address.text,
        domain=address.domain,
        provider=service.provider if service else "custom",
        service=service
        and MailServiceSummary(
            code=service.code,
            name=service.name,
            table=service.table,
            sign_in=list(service.sign_in),
            help_url=service.help_url or None,
        ),
        imap=[_server(address, place) for place in found.imap],
        smtp=[_server(address, place) for place in found.smtp],
        looked_up=[
            LookedUp(source=lookup.source, question=lookup.question, outcome=lookup.outcome)
            for lookup in found.looked_up
        ],
        complete=found.complete,
    )


def username_of(address: str, place: Place) -> str:
    """What the server wants as user name, made from the address as it was written."""
    local, _, domain = address.rpartition("@")
    match place.username_form:
        case "address":
            return address
        case "local_part":
            return local
        case "address_with_dot":
            return f"{local}.{domain}"


def _server(address: MailAddress, place: Place) -> FoundServer:
    return FoundServer(
        host=place.host,
        port=place.port,
        security=place.security,
        username=username_of(address.text, place),
        username_form=place.username_form,
        authentication=list(place.authentication),
        source=place.source,
        confidence=place.confidence,
    )
