"""Lines to and from a vetted server, bounded and kept for the transcript."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Final, Literal

from berth_connector.probe.faults import Fault
from berth_connector.probe.stream import LineTooLong, Stream

__all__ = ["LINE_LIMIT", "REPLY_LIMIT", "Said", "Wire"]

LINE_LIMIT: Final = 8192
REPLY_LIMIT: Final = 64 * 1024

Said = Callable[[Literal["C", "S"], str], None]


class Wire:
    """Lines over a stream.

    Every read has to be inside `asyncio.timeout`; steps see to that. Whoever has the stream aborts it.

    Args:
        stream: nobody else reads or writes it from now on.
        said: gets every line of either side.
    """

    __slots__ = ("_said", "_stream")

    def __init__(self, stream: Stream, said: Said) -> None:
        self._stream, self._said = stream, said

    async def upgrade(self, tls: ssl.SSLContext, name: str) -> None:
        """Begin TLS after the server agreed to STARTTLS.

        Raises:
            Fault: more than the server's agreement has arrived: whatever was sent in plain text would pass for TLS.
            OSError: the handshake failed.
            EOFError: the server closed the connection.
        """
        if self._stream.take_unread():
            raise Fault.found("INJECTED", "More bytes followed the answer to STARTTLS.")
        await self._stream.start_tls(tls, name)

    @property
    def tls(self) -> ssl.SSLObject | None:
        """What is known of the TLS connection; None in plain text."""
        return self._stream.tls

    def keep(self, line: str) -> None:
        """Put a line of the server's into the transcript."""
        self._said("S", line)

    async def read_line(self, *, kept: bool = True) -> str:
        """One line without its end, decoded; bytes that are not UTF-8 are replaced.

        Args:
            kept: False keeps it out of the transcript, while it is not known to be a mail server's: else anybody could
                have Berth read the banners of other services to him.

        Raises:
            EOFError: the server closed the connection.
            OSError: the connection failed.
            Fault: the line is longer than LINE_LIMIT.
        """
        while (line := self.line_at_hand(kept=kept)) is None:
            await self._stream.more()
        return line

    def line_at_hand(self, *, kept: bool = True) -> str | None:
        """What `read_line` gives, if it has arrived; most lines come together, and then nobody has to be awaited."""
        try:
            raw = self._stream.take_line(LINE_LIMIT)
        except LineTooLong as error:
            raise Fault.found("MALFORMED", f"The server sent a line of more than {LINE_LIMIT} bytes.") from error
        if raw is None:
            return None
        line = raw.rstrip(b"\r\n").decode("utf-8", "replace")
        if kept:
            self._said("S", line)
        return line

    async def read_exactly(self, count: int) -> str:
        """So many bytes, decoded. The caller bounds the count."""
        return (await self._stream.read_exactly(count)).decode("utf-8", "replace")

    def write_line(self, line: bytes, shown: str) -> None:
        """Send a line.

        Args:
            line: without its end.
            shown: what the transcript says instead; never a secret.
        """
        self._said("C", shown)
        self._stream.write(line + b"\r\n")

    def write_lines(self, lines: Sequence[tuple[bytes, str]]) -> None:
        """Send lines at once, each with what the transcript says instead."""
        for _, shown in lines:
            self._said("C", shown)
        self._stream.write(b"".join(line + b"\r\n" for line, _ in lines))

    def part(self, line: bytes) -> None:
        """Say good-bye without waiting for an answer."""
        self._stream.write(line + b"\r\n")

    def hand_over(self, protocol: asyncio.Protocol) -> None:
        """Leave the connection to a protocol, which also gets what has arrived already. Nothing is read or written here again.

        Whoever has the stream still aborts it.

        Raises:
            EOFError: the server has closed the connection.
            OSError: the connection failed.
        """
        self._stream.hand_over(protocol)
