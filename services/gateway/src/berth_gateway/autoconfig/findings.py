"""What autoconfiguration found of a domain, and where it looked."""

from dataclasses import dataclass
from typing import Literal

from berth_gateway.autoconfig.services import Authentication, MailService, Protocol, Security, UsernameForm

__all__ = ["Confidence", "Findings", "Lookup", "Outcome", "Place", "Source"]

Source = Literal["service_table", "ispdb", "mail_exchanger", "service_record"]
Confidence = Literal["high", "medium"]
#: found: it names a server, or a service. nothing: there is no such line or record. unknown: there is an MX, of no known service.
#: not_offered: the domain says that there is no such service (a target of `.`). refused: no host of the records is there
#: and may be dialled. unanswered: the name servers failed, or did not answer in time.
Outcome = Literal["found", "nothing", "unknown", "not_offered", "refused", "unanswered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A server that was found.

    Attributes:
        authentication: what it takes, best first; empty: not known.
        confidence: `high` is a server of a known service, or one in the domain itself. `medium` is a host elsewhere that only a
            record names, or a service that only the place of the domain's mail exchange suggests: DNS can be forged, and the
            machine a customer's own, so somebody has to agree before a password goes there (RFC 6186, section 6).
    """

    host: str
    port: int
    security: Security
    username_form: UsernameForm
    authentication: tuple[Authentication, ...] = ()
    source: Source
    confidence: Confidence


@dataclass(frozen=True, slots=True)
class Lookup:
    """One place where was looked.

    Attributes:
        question: the domain; for the DNS, name and type.
    """

    source: Source
    question: str
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What is known of a domain's mailboxes.

    Attributes:
        service: that has them, when it is a known one.
        imap: best first.
        smtp: best first.
        looked_up: where was looked, in this order.
        complete: False when a question was not answered in time, so that there may be more.
    """

    service: MailService | None = None
    imap: tuple[Place, ...] = ()
    smtp: tuple[Place, ...] = ()
    looked_up: tuple[Lookup, ...] = ()
    complete: bool = True

    def places(self, protocol: Protocol) -> tuple[Place, ...]:
        """Those of one protocol."""
        return self.imap if protocol == "imap" else self.smtp

    def best(self, protocol: Protocol) -> Place | None:
        """The server that a password may go to without asking anybody; None when there is none."""
        return next((place for place in self.places(protocol) if place.confidence == "high"), None)
