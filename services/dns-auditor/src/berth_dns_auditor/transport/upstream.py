"""One recursive name server, whichever way it is spoken to."""

import asyncio
import secrets
import ssl
from typing import Final, Protocol

from berth_dns_auditor.transport.datagrams import Channel, Doubtful
from berth_dns_auditor.transport.https import HttpsServer
from berth_dns_auditor.transport.slow_wire import read_reply_slowly
from berth_dns_auditor.transport.streams import Streams
from berth_dns_auditor.transport.wire import Question, Reply, Unusual, read_reply
from berth_net import DnsResolver, Nameserver

__all__ = ["Upstream"]

#: Sockets among which each question takes one at random.
SOCKETS: Final = 8
#: After so many time-outs in a row a server is asked last, for seconds that double up to the most.
SILENT_MAX: Final = 8
REST_S: Final = 1.0
REST_MAX_S: Final = 30.0


class _Route(Protocol):
    """A way to the server that takes care of its own connections."""

    async def ask(self, question: Question, random_bits: int) -> bytes: ...

    async def close(self) -> None: ...


class Upstream:
    """A name server.

    Args:
        nameserver: where it is.
        context: for TLS; None is that of the system's authorities.
    """

    def __init__(self, nameserver: Nameserver, context: ssl.SSLContext | None = None) -> None:
        self.nameserver = nameserver
        self._channels: dict[int, Channel] = {}
        self._route = _route(nameserver, context)
        self._silent = 0
        self._rests_until = 0.0

    def rests(self, now: float) -> bool:
        """Whether it has been silent for a while, so that others are asked before it."""
        return now < self._rests_until

    async def exchange(self, question: Question, timeout: float) -> Reply:  # noqa: ASYNC109 - one of several tries
        """Ask, over TCP if the answer does not fit a datagram.

        Args:
            question: what to ask.
            timeout: seconds.

        Raises:
            TimeoutError: there was no answer.
            MalformedReply: it cannot be read.
            HttpsFailed: there was none over HTTPS.
            EOFError: the connection was closed.
            OSError: the server's machine refuses the question, or there is no way to it.
        """
        try:
            reply = await self._exchange(question, timeout)
        except TimeoutError:
            self._silent += 1
            if self._silent >= SILENT_MAX:
                pause = min(REST_S * 2 ** min(self._silent - SILENT_MAX, 10), REST_MAX_S)
                self._rests_until = asyncio.get_running_loop().time() + pause
            raise
        self._silent = 0
        return reply

    async def _exchange(self, question: Question, timeout: float) -> Reply:  # noqa: ASYNC109
        random_bits = secrets.randbits(8 * len(question.name) + 32)
        if self.nameserver.transport == "udp":
            channel = self._channel(random_bits & 0xFFFF)
            try:
                reply = _read(await channel.ask(question, random_bits >> 16, timeout), question)
                if not reply.truncated:
                    return reply
            except Doubtful:
                pass
        async with asyncio.timeout(timeout):
            return _read(await self._route.ask(question, random_bits >> 16), question)

    def _channel(self, random_bits: int) -> Channel:
        place = random_bits % SOCKETS
        channel = self._channels.get(place)
        if channel is None or not channel.has_room:
            if channel is not None:
                channel.retire()
            channel = self._channels[place] = Channel(self.nameserver.address, self.nameserver.port)
        return channel

    async def close(self) -> None:
        """Close every socket; questions in flight are lost."""
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()
        await self._route.close()


def _route(server: Nameserver, context: ssl.SSLContext | None) -> _Route:
    match server.transport:
        case "udp":
            return Streams(server.address, server.port)
        case "tls":
            context = context or ssl.create_default_context()
            return Streams(server.address, server.port, context, server.name or server.address)
        case "https":
            return HttpsServer(server, DnsResolver(), context or ssl.create_default_context())


def _read(message: bytes, question: Question) -> Reply:
    try:
        return read_reply(message, question)
    except Unusual:
        return read_reply_slowly(message)
