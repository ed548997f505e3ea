"""What can go wrong in a step, in the terms that the table of diagnoses understands."""

from typing import TYPE_CHECKING, Self

from berth_connector.diagnosis import Reply, parse_reply

if TYPE_CHECKING:
    from datetime import timedelta

    from berth_events.contracts import Diagnosis

__all__ = ["Fault"]


class Fault(Exception):
    """A step of a verification failed; its diagnosis says why and what to do.

    Attributes:
        message: our own words, for the step.
        replies: what the table looks at, the decisive reply first.
        quote: the words to show with the diagnosis, not yet redacted.
        table_step: the table's step, when it is not that of the step that failed.
        wait: how long we are asked to wait, when that is not told by a reply.
        diagnosis: what is known already; the table is not asked.
    """

    def __init__(self, message: str, replies: tuple[Reply, ...], quote: str, table_step: str | None = None) -> None:
        super().__init__(message)
        self.message, self.replies, self.quote, self.table_step = message, replies, quote, table_step
        self.wait: timedelta | None = None
        self.diagnosis: Diagnosis | None = None

    @classmethod
    def refused(cls, protocol: str, message: str, *raw: str, table_step: str | None = None) -> "Fault":
        """The server said no.

        Args:
            protocol: `imap` or `smtp`.
            message: our own words.
            raw: the replies as they came, the decisive one first.
            table_step: see the class.
        """
        replies = tuple(parse_reply(protocol, one) for one in raw)
        return cls(message, replies, "\n".join(raw), table_step)

    @classmethod
    def found(cls, token: str, message: str) -> "Fault":
        """A finding of our own, which rows of the table name by a token such as MISSING:STARTTLS."""
        return cls(message, (Reply.of([token]),), "")

    @classmethod
    def transport(cls, text: str, message: str, *tokens: str) -> "Fault":
        """The connection failed; the text is that of the system or of OpenSSL."""
        return cls(message, (Reply.of(tokens, text),), text)

    @classmethod
    def known(cls, diagnosis: "Diagnosis", message: str) -> "Fault":
        """What was found before, of all that share a credential."""
        fault = cls(message, (), diagnosis.reply)
        fault.diagnosis = diagnosis
        return fault

    def again(self) -> "Fault":
        """The same fault for somebody else."""
        other = Fault(self.message, self.replies, self.quote, self.table_step)
        other.wait, other.diagnosis = self.wait, self.diagnosis
        return other

    def because(self, protocol: str, challenge: str) -> Self:
        """The fault with what the server said before it in a SASL challenge: in the quote it is decoded."""
        reply = parse_reply(protocol, challenge)
        self.replies += (reply,)
        self.quote = f"{self.quote}\n{reply.text}"
        return self
