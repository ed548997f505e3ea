"""Mail servers in this process that say what a script tells them to, to misbehave in known ways."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from berth_local.sandbox.providers.scripts import CLOSE, START_TLS, STAY, Action, Answer, Script

__all__ = ["CLOSE", "START_TLS", "STAY", "Action", "Answer", "Peer", "Script", "drip", "flood"]


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
    ) -> AsyncIterator["Peer"]:
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
