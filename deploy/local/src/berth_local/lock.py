"""One local stack in a directory at a time."""

import fcntl
import os
from pathlib import Path

__all__ = ["AlreadyRunning", "Lock"]


class AlreadyRunning(Exception):
    """Another process has the directory. Use what it runs, or stop it first.

    Attributes:
        pid: of the other, None when it is only about to begin.
    """

    def __init__(self, pid: int | None) -> None:
        super().__init__(pid)
        self.pid = pid


class Lock:
    """Held from its creation until the process ends, and every process that was given its file descriptor."""

    def __init__(self, path: Path) -> None:
        """Take the lock.

        Raises:
            AlreadyRunning: somebody else has it.
        """
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            written = os.read(self.descriptor, 20).decode()
            os.close(self.descriptor)
            raise AlreadyRunning(int(written) if written.isdecimal() else None) from None
        os.ftruncate(self.descriptor, 0)
        os.write(self.descriptor, str(os.getpid()).encode())

    def release(self) -> None:
        """Give the lock up."""
        os.close(self.descriptor)
