"""The bytes of one TCP connection, in plain text or through TLS.

asyncio's own streams would do; but their TLS takes 10 KiB and a third of a millisecond more for each connection, and cannot
resume a session.
"""

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, cast

from berth_net import Address

__all__ = ["LineTooLong", "Stream", "connect"]

#: Of a host with many addresses only the first few are tried.
_MAX_ADDRESSES: Final = 4
#: What has arrived and was not read: beyond that the server has to wait.
_MOST_UNREAD: Final = 16 * 1024
#: Shared by all streams of the event loop's thread: what is put there is taken out before any other has its turn.
_RECEIVED: Final = memoryview(bytearray(_MOST_UNREAD))
_DECRYPTED: Final = memoryview(bytearray(_MOST_UNREAD))
_NO_TLS: Final = ssl.MemoryBIO()
#: Of a handshake OpenSSL gets so many bytes at a time: its buffer never gets smaller again.
_MORSEL: Final = 512


async def connect(addresses: Sequence[Address], port: int, seconds: float) -> "Stream":
    """A TCP connection to the first address that answers.

    Args:
        addresses: vetted, tried in turn.
        port: TCP port.
        seconds: for all attempts together.

    Raises:
        OSError: what the first attempt failed with.
    """
    first: OSError | None = None
    tried = addresses[:_MAX_ADDRESSES]
    for address in tried:
        try:
            async with asyncio.timeout(seconds / len(tried)):
                _, stream = await asyncio.get_running_loop().create_connection(Stream, str(address), port)
        except OSError as error:  # TimeoutError is one
            first = first or error
        else:
            return stream
    try:
        raise first or OSError("no address to connect to")
    finally:
        del first  # it keeps this frame


class LineTooLong(Exception):
    """The server sends a line that does not end. What is behind it cannot be understood."""


class Stream(asyncio.BufferedProtocol):
    """A connection that one reader at a time reads from.

    Nothing here has a deadline: every read has to be inside `asyncio.timeout`. Whoever has a stream aborts it at the end.
    """

    __slots__ = (
        "_arrived",
        "_incoming",
        "_lost",
        "_outgoing",
        "_paused",
        "_receiver",
        "_tls",
        "_transport",
        "_waiting",
    )

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._arrived = bytearray()
        self._paused = False
        self._tls: ssl.SSLObject | None = None
        self._incoming = self._outgoing = _NO_TLS
        self._waiting: asyncio.Future[None] | None = None
        self._lost: Exception | None = None
        self._receiver: asyncio.Protocol | None = None

    async def start_tls(self, context: ssl.SSLContext, name: str, session: ssl.SSLSession | None = None) -> None:
        """Begin TLS. Whatever has arrived in plain text has to be read before.

        Args:
            context: with which authorities.
            name: the host's, which its certificate has to carry.
            session: of an earlier connection to the same host and with the same context, to resume.

        Raises:
            OSError: the handshake failed (`ssl.SSLError` is one).
            EOFError: the server closed the connection.
        """
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name, session=session)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                if not self._arrived:
                    await self.more()
                self._incoming.write(self._take(min(_MORSEL, len(self._arrived))))
            except ssl.SSLError:
                self._flush()  # the alert
                raise
        self._tls = tls
        self._flush()
        self._incoming.write(self.take_unread())
        self._decrypt()

    @property
    def tls(self) -> ssl.SSLObject | None:
        """What is known of the TLS connection; None in plain text."""
        return self._tls

    def take_line(self, limit: int) -> bytes | None:
        """Up to and with the next newline; None as long as there is none.

        Raises:
            LineTooLong: it is more than `limit` bytes.
        """
        end = self._arrived.find(b"\n", 0, limit) + 1
        if end:
            return self._take(end)
        if len(self._arrived) >= limit:
            raise LineTooLong
        return None

    async def more(self) -> None:
        """Wait for something to arrive.

        Raises:
            EOFError: the server closed the connection.
            OSError: the connection failed.
        """
        if self._refill():
            return
        if self._lost is not None:
            # told once, and not kept here: an exception that was raised keeps its frames, and they keep us
            lost, self._lost = self._lost, EOFError()
            try:
                raise lost
            finally:
                del lost
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    async def read_exactly(self, count: int) -> bytes:
        """So many bytes. The caller bounds the count. Raises what `more` does."""
        taken = bytearray()
        while len(taken) < count:
            if not self._arrived:
                await self.more()
            taken += self._take(min(count - len(taken), len(self._arrived)))
        return bytes(taken)

    def take_unread(self) -> bytes:
        """What has arrived already."""
        return self._take(len(self._arrived))

    def write(self, data: bytes) -> None:
        """Send without waiting. What a closed connection does with it, the next read tells."""
        if self._tls is None:
            self._send(data)
        elif self._lost is None:
            self._tls.write(data)
            self._flush()

    def abort(self) -> None:
        """Free the socket at once: a good-bye in TLS would wait half a minute for a peer that does not answer."""
        self._transport.abort()

    def hand_over(self, receiver: asyncio.Protocol) -> None:
        """Leave what comes to a protocol, first what has arrived already. Nothing is read here again.

        Raises:
            EOFError: the server closed the connection.
            OSError: the connection failed.
        """
        if self._lost is not None:
            raise self._lost
        self._receiver = receiver
        receiver.connection_made(_Handed(self))
        self._deliver()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Where asyncio puts what it receives."""
        return _RECEIVED

    def buffer_updated(self, nbytes: int) -> None:
        """So much was received."""
        if self._tls is None:
            self._arrived += _RECEIVED[:nbytes]  # in a handshake, too
        else:
            self._incoming.write(_RECEIVED[:nbytes])
            self._decrypt()
        self._hold()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._lose(exc or EOFError())

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
        elif self._receiver is not None:
            self._deliver()

    def _lose(self, why: Exception) -> None:
        if self._lost is None:
            self._lost = why
            self._wake()

    def _take(self, count: int) -> bytes:
        taken = bytes(self._arrived[:count])
        del self._arrived[:count]
        return taken

    def _hold(self) -> None:
        """Let the server wait while much is unread, or go on."""
        full = len(self._arrived) + self._incoming.pending >= _MOST_UNREAD
        if full != self._paused and not self._transport.is_closing():
            self._paused = full
            (self._transport.pause_reading if full else self._transport.resume_reading)()

    def _refill(self) -> bool:
        """Take up what had to wait; whether there was something."""
        if not self._paused:
            return False
        before = len(self._arrived)
        if self._tls is not None:
            self._decrypt()
        self._hold()
        return len(self._arrived) > before

    def _decrypt(self) -> None:
        assert self._tls is not None  # noqa: S101 - after the handshake
        try:
            while (self._incoming.pending or self._tls.pending()) and len(self._arrived) < _MOST_UNREAD:
                count = cast("int", self._tls.read(_MOST_UNREAD - len(self._arrived), _DECRYPTED))
                if not count:
                    self._lose(EOFError())
                    break
                self._arrived += _DECRYPTED[:count]
        except ssl.SSLWantReadError:
            # a part of a record, or tickets: for those OpenSSL gets itself 16 KiB to write into, until something is written
            with suppress(ssl.SSLWantReadError):  # the server has begun a handshake anew (TLS 1.2), and goes on with it
                self._tls.write(b"")
        except ssl.SSLError as error:
            self._lose(EOFError() if isinstance(error, ssl.SSLZeroReturnError) else error)
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._send(self._outgoing.read())

    def _send(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def _deliver(self) -> None:
        assert self._receiver is not None  # noqa: S101 - handed over
        while self._arrived or self._refill():
            self._receiver.data_received(self.take_unread())
        if self._lost is not None:
            self._receiver.connection_lost(self._lost)


class _Handed(asyncio.Transport):
    """A stream as the transport of the protocol that it was handed to."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._stream.write(bytes(data))

    def abort(self) -> None:
        self._stream.abort()
