"""Questions over UDP: many at once over a few sockets, each with a source port of its own."""

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass
from typing import Final

from berth_dns_auditor.transport.wire import EDNS_PAYLOAD, Question

__all__ = ["Channel", "Doubtful"]

#: Questions in flight on one socket, so that the kernel drops no answers; and how many it carries altogether.
IN_FLIGHT_MAX: Final = 64
USES_MAX: Final = 4096
RECEIVE_BUFFER: Final = 1 << 20
#: Datagrams that are read before other tasks have their turn.
BATCH: Final = 64
_HEADER_SIZE: Final = 12
_RESPONSE: Final = 0x80


class Doubtful(Exception):
    """An answer in another case than the question's, or longer than was allowed: maybe a forger's. Ask over TCP."""


@dataclass(slots=True)
class _Waiting:
    section: bytes
    answer: asyncio.Future[bytes]


def _expire(answer: asyncio.Future[bytes]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())


class Channel:
    """One socket, connected: the kernel drops what another address or port sends.

    An answer counts only if id and question are those of a query in flight, also in the case of each letter; whatever
    else arrives is dropped unread. The kernel gives each socket a random port, and a socket is used for a while only.
    """

    def __init__(self, address: str, port: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, _Waiting] = {}
        self._left = USES_MAX
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.settimeout(0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            self._socket.connect((address, port))
            self._loop.add_reader(self._socket, self._receive)
        except OSError:
            self._socket.close()
            raise

    @property
    def has_room(self) -> bool:
        """Whether another question may be asked."""
        return self._left > 0 and len(self._waiting) < IN_FLIGHT_MAX

    async def ask(self, question: Question, random_bits: int, timeout: float) -> bytes:  # noqa: ASYNC109 - see below
        """The message in answer to a question.

        Args:
            question: what to ask.
            random_bits: 16, and 8 for each byte of the name.
            timeout: seconds. A timer is half as dear as `asyncio.timeout`, and this is done fifty times for an audit.

        Raises:
            TimeoutError: there was none.
            Doubtful: there is an answer that may not be the server's.
            OSError: the server's machine refuses it, or there is no way to it.
        """
        id_ = random_bits & 0xFFFF
        while id_ in self._waiting:
            id_ = (id_ + 1) & 0xFFFF
        section = question.section(random_bits >> 16)
        waiting = self._waiting[id_] = _Waiting(section, self._loop.create_future())
        timer = self._loop.call_later(timeout, _expire, waiting.answer)
        self._left -= 1
        try:
            self._send(question.message(id_, section))
            return await waiting.answer
        finally:
            timer.cancel()
            del self._waiting[id_]
            if self._left <= 0 and not self._waiting:
                self.close()

    def retire(self) -> None:
        """Take no more questions, and give the port back when those in flight are done."""
        self._left = 0
        if not self._waiting:
            self.close()

    def _send(self, message: bytes) -> None:
        with contextlib.suppress(BlockingIOError, InterruptedError):  # as if the network had lost it: it is asked again
            self._socket.send(message)

    def _receive(self) -> None:
        for _ in range(BATCH):
            try:
                message = self._socket.recv(EDNS_PAYLOAD + 1)  # of a longer datagram the rest is lost
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:  # the server's machine says that nobody listens there
                for waiting in self._waiting.values():
                    if not waiting.answer.done():
                        waiting.answer.set_exception(error)
                return
            self._match(message)

    def _match(self, message: bytes) -> None:
        if len(message) <= _HEADER_SIZE or not message[2] & _RESPONSE:
            return
        id_, _, questions = struct.unpack_from(">HHH", message)
        waiting = self._waiting.get(id_)
        if waiting is None or waiting.answer.done() or questions != 1:
            return
        section = message[_HEADER_SIZE : _HEADER_SIZE + len(waiting.section)]
        if section == waiting.section and len(message) <= EDNS_PAYLOAD:
            waiting.answer.set_result(message)
        elif section.lower() == waiting.section.lower():
            waiting.answer.set_exception(Doubtful())

    def close(self) -> None:
        """Give the port back."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()
