"""The processes of the stack: each in a session of its own, with its own log."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from berth_local.errors import LocalStackError
from berth_local.guardian import Guardian

__all__ = ["Child", "ChildEnded", "Children"]

STOP_SECONDS = 25
SHOWN_LINES = 15
T = TypeVar("T")


class ChildEnded(LocalStackError):
    """A part of the stack ended by itself. The end of its log is in the message, which says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Child:
    """A running part."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    def end(self) -> ChildEnded:
        """Why it ended, as far as its log tells."""
        lines = self.log.read_text(errors="replace").splitlines()[-SHOWN_LINES:]
        status = self.process.returncode
        said = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
        return ChildEnded(f"{self.name} ended with status {status}; its last words in {self.log}:\n{said}")


class Children:
    """Starts parts, watches them and stops them."""

    def __init__(self, logs: Path, guardian: Guardian) -> None:
        """Logs go to the directory; what the last run wrote is kept beside as `.old`."""
        logs.mkdir(exist_ok=True)
        self._logs, self._guardian = logs, guardian
        self._running: list[Child] = []

    async def start(self, name: str, arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Child:
        """Start `python ARGUMENTS`."""
        log = self._logs / f"{name}.log"
        if log.exists():
            log.replace(log.with_suffix(".log.old"))
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                # compiled modules make the next start quicker
                env={name: value for name, value in environment.items() if name != "PYTHONDONTWRITEBYTECODE"},
                start_new_session=True,  # a Ctrl-C in the terminal must not reach it before the orderly stop
            )
        child = Child(name, process, log)
        self._guardian.started(process.pid)
        self._running.append(child)
        return child

    async def run_once(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run `python ARGUMENTS` to its end.

        Raises:
            ChildEnded: it failed, or another part ended meanwhile.
        """
        child = await self.start(name, arguments, environment)
        self._running.remove(child)
        try:
            if await self.while_running(child.process.wait()):
                raise child.end()
        finally:
            await self.stop([child])

    async def while_running(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something that makes sense only as long as everything runs.

        Raises:
            ChildEnded: one of the parts ended before the work was done; the work is cancelled.
        """
        task = asyncio.create_task(work)
        ends = {asyncio.create_task(child.process.wait()): child for child in self._running}
        try:
            done, _ = await asyncio.wait({task, *ends}, return_when=asyncio.FIRST_COMPLETED)
            if task in done:
                return task.result()
            raise next(child.end() for end, child in ends.items() if end in done)
        finally:
            for one in (task, *ends):
                one.cancel()
            await asyncio.wait({task, *ends})

    async def stop_all(self) -> None:
        """Stop what still runs."""
        await self.stop(list(self._running))

    async def stop(self, children: Sequence[Child]) -> None:
        """Stop some of them together: orderly at first, by force after 25 s."""
        for child in children:
            if child.process.returncode is None:
                child.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.gather(*(child.process.wait() for child in children))
        except TimeoutError:
            for child in children:
                if child.process.returncode is None:
                    child.process.kill()
            await asyncio.gather(*(child.process.wait() for child in children))
        for child in children:
            if child in self._running:
                self._running.remove(child)
            self._guardian.stopped(child.process.pid)
