"""The message that a mailbox sends to itself."""

from datetime import datetime
from email.utils import format_datetime
from uuid import UUID

__all__ = ["compose", "message_id"]

_TEXT = """\
This message was sent from this mailbox to itself to see how its mail is
delivered: somebody asked for a checkup. It is deleted as soon as it was
seen. If it is still here, it may be deleted.
"""


def message_id(checkup_id: UUID, domain: str) -> str:
    """The Message-ID: the same for every run of a checkup, so that a later one finds what an earlier one sent."""
    return f"<berth-checkup-{checkup_id}@{domain}>"


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
        "Auto-Submitted: auto-generated",  # RFC 3834: nobody on holiday answers it
        "X-Auto-Response-Suppress: All",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=us-ascii",
    )
    return "\r\n".join([*header, "", *_TEXT.splitlines(), ""]).encode()
