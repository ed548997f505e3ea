"""One connection to one vetted server: TCP, TLS, bounded lines."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Literal

from berth_connector.probe.faults import Fault
from berth_net import Address

__all__ = ["LINE_LIMIT", "REPLY_LIMIT", "Said", "Wire", "connect"]

LINE_LIMIT: Final = 8192
REPLY_LIMIT: Final = 64 * 1024
#: Of a host with many addresses only the first few are tried.
_MAX_ADDRESSES: Final = 4

Said = Callable[[Literal["C", "S"], str], None]


async def connect(addresses: Sequence[Address], port: int, seconds: float) -> socket.socket:
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
            return await _connect_to(address, port, seconds / len(tried))
        except OSError as error:  # TimeoutError is one
            first = first or error
    raise first or OSError("no address to connect to")


async def _connect_to(address: Address, port: int, seconds: float) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 - IPv4
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.settimeout(0)
    try:
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().sock_connect(connection, (str(address), port))
    except BaseException:
        connection.close()
        raise
    return connection


class Wire:
    """Lines to and from a server.

    Every read has to be inside `asyncio.timeout`; steps see to that. Whoever opens a wire aborts it: `close` would wait half a
    minute for a TLS peer that does not answer.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: Said) -> None:
        self._reader, self._writer, self._said = reader, writer, said

    @classmethod
    async def open(
        cls, connection: socket.socket, said: Said, *, tls: ssl.SSLContext | None = None, name: str | None = None
    ) -> "Wire":
        """Take over a connected socket, with TLS from the first byte when a context is given.

        Args:
            connection: nobody else's from now on; on failure it is shut down.
            said: gets every line of either side.
            tls: the context, or None for plain text.
            name: the host's name, which its certificate has to carry.

        Raises:
            OSError: the handshake failed (`ssl.SSLError` is one).
        """
        try:
            reader, writer = await asyncio.open_connection(
                sock=connection, limit=LINE_LIMIT, ssl=tls, server_hostname=name if tls else None
            )
        except BaseException:
            # Not closed here: when the wait ends in the moment in which the handshake does, asyncio's transport still waits
            # for a good-bye, by a number that would be somebody else's socket. Shut down, it closes the socket itself.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            raise
        return cls(reader, writer, said)

    async def upgrade(self, tls: ssl.SSLContext, name: str) -> None:
        """Begin TLS after the server agreed to STARTTLS.

        Raises:
            Fault: more than the server's agreement has arrived: whatever was sent in plain text would pass for TLS.
            OSError: the handshake failed.
        """
        if await self._unread(1):
            raise Fault.found("INJECTED", "More bytes followed the answer to STARTTLS.")
        await self._writer.start_tls(tls, server_hostname=name)

    @property
    def tls_version(self) -> str:
        """For example TLSv1.3; empty in plain text."""
        tls: ssl.SSLObject | None = self._writer.get_extra_info("ssl_object")
        return (tls and tls.version()) or ""

    @property
    def certificate(self) -> bytes | None:
        """The server's certificate (DER), also when it was not verified."""
        tls: ssl.SSLObject | None = self._writer.get_extra_info("ssl_object")
        return tls.getpeercert(binary_form=True) if tls else None

    def keep(self, line: str) -> None:
        """Put a line of the server's into the transcript."""
        self._said("S", line)

    async def read_line(self, *, kept: bool = True) -> str:
        """One line without its end, decoded; bytes that are not UTF-8 are replaced.

        Args:
            kept: False keeps it out of the transcript, while it is not known to be a mail server's: else anybody could
                have Berth read the banners of other services to him.

        Raises:
            EOFError: the server closed the connection (`asyncio.IncompleteReadError` is one).
            Fault: the line is longer than LINE_LIMIT.
        """
        try:
            raw = await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            raise Fault.found("MALFORMED", f"The server sent a line of more than {LINE_LIMIT} bytes.") from error
        line = raw.rstrip(b"\r\n").decode("utf-8", "replace")
        if kept:
            self.keep(line)
        return line

    async def read_exactly(self, count: int) -> str:
        """So many bytes, decoded. The caller bounds the count."""
        return (await self._reader.readexactly(count)).decode("utf-8", "replace")

    async def write_line(self, line: bytes, shown: str) -> None:
        """Send a line.

        Args:
            line: without its end.
            shown: what the transcript says instead; never a secret.
        """
        await self.write_lines([(line, shown)])

    async def write_lines(self, lines: Sequence[tuple[bytes, str]]) -> None:
        """Send lines at once, each with what the transcript says instead."""
        for _, shown in lines:
            self._said("C", shown)
        self._writer.write(b"".join(line + b"\r\n" for line, _ in lines))
        await self._writer.drain()

    def part(self, line: bytes) -> None:
        """Say good-bye without waiting for an answer."""
        if not self._writer.is_closing():
            self._writer.write(line + b"\r\n")

    def abort(self) -> None:
        """Free the socket at once."""
        self._writer.transport.abort()

    async def hand_over(self, protocol: asyncio.Protocol) -> None:
        """Leave the connection to a protocol, which also gets what has arrived already. Nothing is read or written here again.

        The wire still owns the socket: keep it, and abort it at the end.

        Raises:
            EOFError: the server has closed the connection.
        """
        arrived = await self._unread(2 * LINE_LIMIT)
        if self._reader.at_eof():
            raise EOFError
        transport = self._writer.transport
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if arrived:
            protocol.data_received(arrived)

    async def _unread(self, limit: int) -> bytes:
        """What has arrived already, up to a limit."""
        try:
            async with asyncio.timeout(0):
                return await self._reader.read(limit)
        except TimeoutError:
            return b""
