"""What can go wrong in a step, in the terms that the table of diagnoses understands."""

from berth_connector.diagnosis import Reply, parse_reply

__all__ = ["Fault"]


class Fault(Exception):
    """A step of a verification failed; its diagnosis says why and what to do.

    Attributes:
        message: our own words, for the step.
        replies: what the table looks at, the decisive reply first.
        quote: the words to show with the diagnosis, not yet redacted.
        table_step: the table's step, when it is not that of the step that failed.
    """

    def __init__(self, message: str, replies: tuple[Reply, ...], quote: str, table_step: str | None = None) -> None:
        super().__init__(message)
        self.message, self.replies, self.quote, self.table_step = message, replies, quote, table_step

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
