"""From what was found to the API's answer, and to servers for an account."""

from berth_gateway.accounts.addresses import MailAddress
from berth_gateway.autoconfig.lookup import Findings, Place
from berth_gateway.autoconfig.schemas import Autoconfiguration, FoundServer, MailServiceSummary

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
            code=service.code, name=service.name, sign_in=list(service.sign_in), help_url=service.help_url or None
        ),
        imap=[_server(address, place) for place in found.imap],
        smtp=[_server(address, place) for place in found.smtp],
        complete=found.complete,
    )


def username_of(address: str, place: Place) -> str:
    """What the server wants as user name."""
    return address.rpartition("@")[0] if place.username_form == "local_part" else address


def _server(address: MailAddress, place: Place) -> FoundServer:
    return FoundServer(
        host=place.host,
        port=place.port,
        security=place.security,
        username=username_of(address.text, place),
        username_form=place.username_form,
        source=place.source,
        confidence=place.confidence,
    )
