"""Mail servers in this process that say what a script tells them to, to misbehave in known ways."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

__all__ = ["CLOSE", "START_TLS", "STAY", "Answer", "Peer", "Script", "drip", "flood"]

#: Does something with the connection instead of answering with text.
Action = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
#: Bytes, in which TAG stands for the command's tag, also behind further lines of it; an action; or both in turn.
Answer = bytes | Action | tuple[bytes, Action]


async def CLOSE(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: N802 - reads as a constant
    """Close the connection."""
    writer.close()


async def STAY(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:  # noqa: N802
    """Say nothing, and leave the connection open."""


async def START_TLS(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:  # noqa: N802
    """Begin TLS; the peer does it, because it has the context."""


def drip(pause: float = 0.05) -> Action:
    """One byte at a time, for ever."""

    async def action(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"*")
            await writer.drain()
            await asyncio.sleep(pause)

    return action


def flood(chunk: bytes) -> Action:
    """The same bytes as fast as they are taken, for ever."""

    async def action(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0)

    return action


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What a peer says.

    Attributes:
        greeting: said to everybody who connects.
        answers: pattern of a line -> the answer, the first match counts; a line that matches none is answered with silence.
        turns: pattern of a line -> the script that answers this connection from the next line on.
    """

    greeting: Answer
    answers: Sequence[tuple[str, Answer]] = ()
    turns: Sequence[tuple[str, "Script"]] = ()

    def but(self, *answers: tuple[str, Answer], greeting: Answer | None = None) -> "Script":
        """The same script with other answers in front, also behind its turns."""
        return replace(
            self,
            greeting=self.greeting if greeting is None else greeting,
            answers=(*answers, *self.answers),
            turns=tuple((pattern, script.but(*answers)) for pattern, script in self.turns),
        )

    def turning(self, pattern: str, script: "Script") -> "Script":
        """The same script until a line matches."""
        return replace(self, turns=((pattern, script), *self.turns))

    def answer_to(self, line: str) -> Answer:
        """The answer to a line."""
        return next((answer for pattern, answer in self.answers if re.search(pattern, line)), b"")

    def behind(self, line: str) -> "Script":
        """The script that answers what comes after a line."""
        return next((script for pattern, script in self.turns if re.search(pattern, line)), self)


@dataclass(slots=True)
class Peer:
    """A running peer.

    Attributes:
        port: of 127.0.0.1.
        received: every line that was received, of all connections.
        connections: how many there were.
    """

    script: Script
    port: int = 0
    received: list[str] = field(default_factory=list)
    connections: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tls: ssl.SSLContext | None = None
    _all_gone: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._all_gone.set()

    @classmethod
    @asynccontextmanager
    async def run(
        cls, script: Script, *, implicit: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None
    ) -> "AsyncIterator[Peer]":
        """Listen until the block ends, with TLS from the first byte or from START_TLS on."""
        peer = cls(script, _tls=starttls)
        server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=implicit)
        peer.port = server.sockets[0].getsockname()[1]
        try:
            yield peer
        finally:
            server.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await peer._all_gone.wait()
            for writer in peer._writers:
                writer.transport.abort()
            await server.wait_closed()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client."""
        self.connections += 1
        self._writers.add(writer)
        self._all_gone.clear()
        script, tag = self.script, b""
        with suppress(ConnectionError, ssl.SSLError, TimeoutError):
            await self._say(script.greeting, tag, reader, writer)
            while line := await reader.readline():
                text = line.rstrip(b"\r\n").decode("utf-8", "replace")
                self.received.append(text)
                first, more, _ = text.partition(" ")
                tag = first.encode() if more else tag  # a line without a blank is the rest of a command
                answer, script = script.answer_to(text), script.behind(text)
                await self._say(answer, tag, reader, writer)
        writer.transport.abort()
        self._writers.discard(writer)
        if not self._writers:
            self._all_gone.set()

    async def _say(
        self, answer: Answer, tag: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if isinstance(answer, tuple):
            words, action = answer
        elif isinstance(answer, bytes):
            words, action = answer, STAY
        else:
            words, action = b"", answer
        writer.write(words.replace(b"TAG", tag))
        await writer.drain()
        if action is START_TLS and self._tls is not None:
            await writer.start_tls(self._tls)
        else:
            await action(reader, writer)
