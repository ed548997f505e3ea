"""Stops what the stack started, when the stack was killed and could not do it itself.

It runs beside the stack and reads from a pipe what was started (`PID SIGNAL`) and what was stopped again (`PID 0`). The
pipe ends when the stack does, however it ended. Standard library only, so that it is up at once.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["Guardian"]

STOP_SECONDS = 30


class Guardian:
    """The stack's side of the pipe."""

    def __init__(self, lock_descriptor: int) -> None:
        """Start the guardian, which shares the lock: nobody starts anew before everything old is gone."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[lock_descriptor],
            start_new_session=True,
        )

    def started(self, pid: int, how_to_stop: signal.Signals = signal.SIGTERM) -> None:
        """From now on this process is stopped when the stack dies."""
        self._tell(pid, how_to_stop)

    def stopped(self, pid: int) -> None:
        """It is gone."""
        self._tell(pid, 0)

    def _tell(self, pid: int, number: int) -> None:
        if self._process.stdin:
            self._process.stdin.write(f"{pid} {number}\n".encode())
            self._process.stdin.flush()

    def close(self) -> None:
        """The stack ends in good order."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(STOP_SECONDS)


def main() -> None:
    """Wait for the end of the stack; then stop what is left, the latest first."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    running: dict[int, int] = {}
    for line in sys.stdin:
        pid, number = (int(part) for part in line.split())
        running.pop(pid, None)
        if number:
            running[pid] = number
    for pid, number in reversed(running.items()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            deadline = time.monotonic() + STOP_SECONDS
            while time.monotonic() < deadline and not _is_zombie(pid):
                os.kill(pid, 0)
                time.sleep(0.05)
            os.kill(pid, signal.SIGKILL)


def _is_zombie(pid: int) -> bool:
    """Ended, but in a container whose first process does not care."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


if __name__ == "__main__":
    main()
