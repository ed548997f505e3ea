"""Who starts, watches and stops the parts of the stack, with real processes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from berth_local.children import ChildEnded, Children
from berth_local.guardian import Guardian
from berth_local.lock import AlreadyRunning, Lock
from berth_local.state import State, StateUnreadable

SLEEP = ["-c", "import time; print('up', flush=True); time.sleep(60)"]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return b"Z" not in Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2][:3]


def wait_for_end(pid: int, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_alive(pid)


@pytest.fixture
async def children(tmp_path: Path) -> AsyncIterator[Children]:
    lock = Lock(tmp_path / "lock")
    guardian = Guardian(lock.descriptor)
    children = Children(tmp_path / "logs", guardian)
    yield children
    await children.stop_all()
    guardian.close()
    lock.release()


class TestChildren:
    async def test_the_output_is_kept_and_the_last_one_too(self, children: Children) -> None:
        for text in ("one", "two"):
            child = await children.start("talker", ["-c", f"print('{text}')"])
            await child.process.wait()
        assert child.log.read_text() == "two\n"
        assert child.log.with_name("talker.log.old").read_text() == "one\n"

    async def test_an_end_interrupts_the_work_and_shows_the_last_words(self, children: Children) -> None:
        await children.start("sleeper", SLEEP)
        await children.start("loser", ["-c", "import sys; sys.exit('no anchor')"])
        cancelled = asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                cancelled.set()

        with pytest.raises(ChildEnded, match=r"(?s)loser ended with status 1.*no anchor"):
            await children.while_running(work())
        assert cancelled.is_set()

    async def test_work_that_ends_first_gives_its_result(self, children: Children) -> None:
        await children.start("sleeper", SLEEP)
        assert await children.while_running(asyncio.sleep(0, "done")) == "done"

    async def test_a_task_that_fails(self, children: Children) -> None:
        await children.run_once("good", ["-c", ""], os.environ)
        with pytest.raises(ChildEnded, match="bad ended with status 3"):
            await children.run_once("bad", ["-c", "raise SystemExit(3)"], os.environ)

    async def test_stop_reaches_all(self, children: Children) -> None:
        started = [await children.start(f"sleeper{number}", SLEEP) for number in range(2)]
        await children.stop(started)
        assert [child.process.returncode for child in started] == [-signal.SIGTERM] * 2


STACK = """
import asyncio, os, sys, signal
from pathlib import Path
from berth_local.children import Children
from berth_local.guardian import Guardian
from berth_local.lock import Lock
async def main(directory):
    lock = Lock(directory / "lock")
    children = Children(directory / "logs", Guardian(lock.descriptor))
    child = await children.start("sleeper", ["-c", sys.argv[2]])
    while not child.log.read_text():
        await asyncio.sleep(0.01)
    print(child.process.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main(Path(sys.argv[1])))
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: time.sleep(0.5) or exit())
print('up', flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_when_the_stack_is_killed_its_parts_stop_and_only_then_the_lock_is_free(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STACK, str(tmp_path), STUBBORN]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as stack:
        assert stack.stdout
        pid = int(stack.stdout.readline())
        with pytest.raises(AlreadyRunning) as running:
            Lock(tmp_path / "lock")
        assert running.value.pid == stack.pid
        stack.kill()
    with pytest.raises(AlreadyRunning):  # the part takes half a second to stop
        Lock(tmp_path / "lock")
    assert wait_for_end(pid)
    deadline = time.monotonic() + 5
    while True:
        try:
            Lock(tmp_path / "lock").release()
            break
        except AlreadyRunning:
            assert time.monotonic() < deadline
            time.sleep(0.02)


class TestState:
    def test_what_was_made_is_kept(self, tmp_path: Path) -> None:
        file = tmp_path / "secrets.json"
        assert State(file).keep("key", lambda: "first") == "first"
        assert State(file).keep("key", lambda: "second") == "first"
        assert file.stat().st_mode & 0o777 == 0o600

    def test_a_damaged_file_is_named(self, tmp_path: Path) -> None:
        file = tmp_path / "secrets.json"
        file.write_text("{")
        with pytest.raises(StateUnreadable, match=r"secrets\.json"):
            State(file)
