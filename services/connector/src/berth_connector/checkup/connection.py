"""aioimaplib, contained: over a connection that has signed in already, with bounds and deadlines of our own.

The library awaits answers without a deadline, does not tell commands that the connection is gone, copies what a flood
sends again and again, and its parser recurses once for each line. Its debug log holds mail. It is GPL-3.0: docs/adr/0007.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

from aioimaplib.aioimaplib import AUTH, IMAP4ClientProtocol, Response

from berth_connector.probe import Fault
from berth_connector.probe.imap import ImapSession

__all__ = ["Connection"]

logging.getLogger("aioimaplib").setLevel(logging.WARNING)

#: Of a whole checkup. A look takes some hundred bytes, a header some thousand.
_MAX_BYTES: Final = 512 * 1024
_MAX_LINES: Final = 100
#: A UID has 32 bits.
_MAX_DIGITS: Final = 10


class _Protocol(IMAP4ClientProtocol):  # type: ignore[misc] # without types
    """The library's parser, told when the connection is gone.

    Attributes:
        lost: why nothing more will come, once it is known.
        news: messages have come since the folder was opened.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, capabilities: frozenset[str]) -> None:
        super().__init__(loop)
        self.lost: asyncio.Future[Exception] = loop.create_future()
        self._offered, self._left = capabilities, _MAX_BYTES
        self.news = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.state, self.capabilities = AUTH, set(self._offered)

    def data_received(self, data: bytes) -> None:
        if self.lost.done():
            return
        self._left -= len(data)
        if self._left < 0:
            self.fail(Fault.found("MALFORMED", f"The server sent more than {_MAX_BYTES} bytes."))
            return
        lines = data.splitlines(keepends=True)  # also at a lone CR, which does no harm
        try:
            for start in range(0, len(lines), _MAX_LINES):
                super().data_received(b"".join(lines[start : start + _MAX_LINES]))
        except Exception:  # noqa: BLE001 - Abort, UnicodeDecodeError, whatever its parser trips over
            self.fail(Fault.found("MALFORMED", "The server's answer is no answer to the command."))

    def _untagged_response(self, line: bytes) -> Any:
        self.news = self.news or line.upper().endswith(b" EXISTS")  # the library forgets what nobody waits for
        return super()._untagged_response(line)

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(exc or EOFError())

    def fail(self, why: Exception) -> None:
        """Nothing more will come: whoever waits for an answer gets the reason."""
        if self.lost.done():
            return
        self.lost.set_result(why)
        for command in [self.pending_sync_command, *self.pending_async_commands.values()]:
            if command is not None:
                command._exception = why  # noqa: SLF001 - there is no public way to end a command
                command.close(b"", "KO")
        if self.transport is not None:
            self.transport.abort()


class Connection:
    """A signed-in IMAP connection.

    Args:
        protocol: has the connection.
        seconds: for each answer.
    """

    def __init__(self, protocol: _Protocol, seconds: float) -> None:
        self._protocol, self._seconds = protocol, seconds
        self._tasks: set[asyncio.Task[Any]] = set()

    @classmethod
    async def take_over(cls, session: ImapSession, seconds: float) -> "Connection":
        """Go on where a session has signed in and asked for the capabilities.

        Raises:
            EOFError: the server has closed the connection.
        """
        protocol = _Protocol(asyncio.get_running_loop(), session.offered)
        session.hand_over(protocol)
        return cls(protocol, seconds)

    @property
    def has_news(self) -> bool:
        """Whether messages have come since the folder was opened, as far as the server has told."""
        return self._protocol.news

    def offers(self, capability: str) -> bool:
        """Whether the server has it."""
        return capability in self._protocol.capabilities

    async def select(self, folder: str) -> None:
        """Open a folder, as it is written on the wire. Raises what `_done` does."""
        await self._done(self._protocol.select(folder), "The folder could not be opened.")
        self._protocol.news = False

    async def list_folders(self, *arguments: str) -> list[bytes]:
        """LIST; the answer's lines and literals."""
        return await self._done(self._protocol.simple_command("LIST", *arguments), "The folders could not be listed.")

    async def search(self, criteria: str) -> list[int]:
        """UID SEARCH in the folder that is open; in rising order."""
        search = self._protocol.search(criteria, by_uid=True, charset=None)
        lines = await self._done(search, "The folder could not be searched.")
        words = [word for line in lines for word in bytes(line).split()]
        return sorted({int(word) for word in words if word.isdigit() and len(word) <= _MAX_DIGITS})

    async def fetch(self, uid: int, item: str) -> bytes:
        """UID FETCH of one item that comes as a literal; empty when there is none."""
        fetch = self._protocol.fetch(str(uid), item, by_uid=True)
        lines = await self._done(fetch, "The message could not be read.")
        return next((bytes(line) for line in lines if isinstance(line, bytearray)), b"")

    async def uid(self, command: str, *arguments: str) -> None:
        """UID STORE, EXPUNGE, COPY or MOVE."""
        await self._done(self._protocol.uid(command, *arguments), f"The server refused {command}.")

    async def idle(self, pause: Coroutine[Any, Any, None]) -> bool:
        """IDLE (RFC 2177) until the server has news or the pause is over.

        Returns:
            False when the server does not idle; the pause is over then, too.
        """
        pausing = self._task(pause)
        idling = self._task(self._protocol.idle())
        try:
            begun = self._task(self._protocol.wait_for_idle_response())
            await self._until(begun, idling, seconds=self._seconds)
            if not idling.done():
                pushed = self._task(self._protocol.idle_queue.get())
                await self._until(pausing, pushed, idling)
                while not self._protocol.idle_queue.empty():
                    self._protocol.idle_queue.get_nowait()
                pushed.cancel()
            if not idling.done():
                self._protocol.idle_done()
                await self._until(idling, seconds=self._seconds)
                return True
            await self._until(pausing)
            return False
        finally:
            pausing.cancel()

    async def wait(self, pause: Coroutine[Any, Any, None]) -> None:
        """Wait until the pause is over, unless the connection ends before."""
        await self._until(self._task(pause))

    def part(self) -> None:
        """LOGOUT, without waiting for an answer; whoever still waits for one does so in vain."""
        if not self._protocol.lost.done():
            self._protocol.send(f"{self._protocol.new_tag()} LOGOUT")
        self._protocol.fail(EOFError())
        for task in self._tasks:
            task.cancel()

    async def _done(self, command: Coroutine[Any, Any, Response], otherwise: str) -> list[bytes]:
        """A command that has to succeed; its lines but for the last.

        Raises:
            TimeoutError: no answer.
            Fault: the server refused it, or what it says is no IMAP.
            OSError, EOFError: the connection ended.
        """
        task = self._task(command)
        await self._until(task, seconds=self._seconds)
        response = task.result()
        if response.result.upper() != "OK":
            said = " ".join(bytes(line).decode("utf-8", "replace") for line in response.lines[-1:])
            raise Fault.refused("imap", otherwise, f"{response.result} {said}")
        return list(response.lines[:-1])

    async def _until(self, *tasks: asyncio.Task[Any], seconds: float | None = None) -> None:
        """Wait for one of them. A task of the library is never awaited itself: it may refuse to be cancelled."""
        lost = self._protocol.lost
        await asyncio.wait({*tasks, lost}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if lost.done():
            raise lost.result()
        if not any(task.done() for task in tasks):
            raise TimeoutError

    def _task(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever needs it has it; else nobody waits for the task any more
