"""The message that a mailbox sends to itself."""

from dataclasses import dataclass
from datetime import datetime
from email.message import Message
from email.utils import format_datetime
from typing import Final
from uuid import UUID

__all__ = ["FIELD", "Marks", "compose", "message_id"]

#: A field of ours, with the checkup's id.
FIELD: Final = "X-Berth-Checkup"

_TEXT = """\
This message was sent from this mailbox to itself to see how its mail is
delivered: somebody asked for a checkup. It is deleted as soon as it was
seen. If it is still here, it may be deleted.
"""


def message_id(checkup_id: UUID, domain: str) -> str:
    """The Message-ID: the same for every run of a checkup, so that a later one finds what an earlier one sent."""
    return f"<berth-checkup-{checkup_id}@{domain}>"


@dataclass(frozen=True, slots=True)
class Marks:
    """What the message is known by: relays such as Amazon's give it a Message-ID of their own, and leave our field.

    Its subject would not do: bounces and automatic replies repeat that.
    """

    message_id: str
    checkup_id: str

    def are_of(self, header: Message) -> bool:
        """Whether a message is the one that is looked for."""
        names = {FIELD: self.checkup_id, "Message-ID": self.message_id}
        return any(str(header.get(name, "")).strip() == mark for name, mark in names.items())


def compose(checkup_id: UUID, address: str, domain: str, now: datetime) -> bytes:
    """The message, lines ended by CRLF.

    Args:
        checkup_id: names the message.
        address: of the mailbox, sender and recipient.
        domain: of the address, in A-label form.
        now: for its date.
    """
    header = (
        f"Date: {format_datetime(now)}",
        f"From: {address}",
        f"To: {address}",
        "Subject: Delivery checkup",
        f"Message-ID: {message_id(checkup_id, domain)}",
        f"{FIELD}: {checkup_id}",
        "Auto-Submitted: auto-generated",  # RFC 3834: nobody on holiday answers it
        "X-Auto-Response-Suppress: All",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=us-ascii",
    )
    return "\r\n".join([*header, "", *_TEXT.splitlines(), ""]).encode()
