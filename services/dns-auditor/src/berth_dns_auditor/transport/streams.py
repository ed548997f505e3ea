"""Questions over TCP (RFC 7766), and over TLS (RFC 7858): one connection, kept, with many questions in flight."""

import asyncio
import contextlib
import ssl
import struct
from typing import Final

from berth_dns_auditor.transport.wire import Question

__all__ = ["StreamClosed", "Streams"]

_HEADER_SIZE: Final = 12


class StreamClosed(EOFError):
    """The server closed the connection before it answered. It is asked again over another one."""


class Streams:
    """A connection to one name server, made when it is needed, and made again when the server has closed it.

    Args:
        address: where the server is.
        port: of TCP.
        context: for TLS; None is plain TCP.
        name: the name that the certificate has to carry.
    """

    def __init__(self, address: str, port: int, context: ssl.SSLContext | None = None, name: str | None = None) -> None:
        self._address, self._port, self._context, self._name = address, port, context, name
        self._connecting = asyncio.Lock()
        self._connection: _Connection | None = None

    async def ask(self, question: Question, random_bits: int) -> bytes:
        """The message in answer to a question. Waits for as long as it takes.

        Raises:
            StreamClosed: before there was an answer.
            OSError: there is no connection; of TLS too.
        """
        async with self._connecting:
            if self._connection is None or self._connection.closed:
                reader, writer = await asyncio.open_connection(
                    self._address, self._port, ssl=self._context, server_hostname=self._name
                )
                self._connection = _Connection(reader, writer)
        return await self._connection.ask(question, random_bits)

    async def close(self) -> None:
        """Close the connection; questions in flight are lost."""
        if self._connection is not None:
            await self._connection.close()


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._waiting: dict[int, tuple[bytes, asyncio.Future[bytes]]] = {}
        self._heard = 0
        self._reading = asyncio.create_task(self._read())

    @property
    def closed(self) -> bool:
        return self._reading.done()

    async def ask(self, question: Question, random_bits: int) -> bytes:
        id_ = random_bits & 0xFFFF
        while id_ in self._waiting:
            id_ = (id_ + 1) & 0xFFFF
        section = question.section(0)  # there is no forger to be kept off
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[id_] = section, answer
        heard = self._heard
        try:
            message = question.message(id_, section)
            self._writer.write(struct.pack(">H", len(message)) + message)
            return await answer
        except asyncio.CancelledError:
            if heard == self._heard:  # nothing came meanwhile: maybe nobody is there any more
                self._reading.cancel()
            raise
        finally:
            del self._waiting[id_]

    async def _read(self) -> None:
        try:
            while True:
                (size,) = struct.unpack(">H", await self._reader.readexactly(2))
                self._match(await self._reader.readexactly(size))
        except (OSError, EOFError):
            pass
        finally:
            self._writer.close()
            for _, answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(StreamClosed("the server closed the connection"))

    def _match(self, message: bytes) -> None:
        if len(message) <= _HEADER_SIZE:
            return
        id_, _, questions = struct.unpack_from(">HHH", message)
        section, answer = self._waiting.get(id_, (b"", None))
        if answer is None or answer.done() or questions != 1:
            return
        if message[_HEADER_SIZE : _HEADER_SIZE + len(section)].lower() == section:
            answer.set_result(message)
            self._heard += 1

    async def close(self) -> None:
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
