"""What is known of a domain from elsewhere than its DNS: from its accounts, and from messages that were seen."""

from dataclasses import dataclass
from typing import Final

__all__ = ["NOTHING_KNOWN", "Known", "Sender"]


@dataclass(frozen=True, slots=True)
class Sender:
    """An address from which mail with the domain in From was seen to come.

    Attributes:
        address: The IPv4 or IPv6 address.
        return_path: The domain of MAIL FROM; None when it is not known, which counts as the domain itself.
        helo: What the address called itself, if that is known.
        signed_by: The `d=` of the DKIM signatures on that mail.
    """

    address: str
    return_path: str | None = None
    helo: str | None = None
    signed_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """Hints for an audit.

    Attributes:
        selectors: DKIM selectors of the domain, from messages or from its owner, best first.
        proven: Those of them with which a receiver verified a message.
        senders: Addresses that send for the domain.
    """

    selectors: tuple[str, ...] = ()
    proven: frozenset[str] = frozenset()
    senders: tuple[Sender, ...] = ()


NOTHING_KNOWN: Final = Known()
