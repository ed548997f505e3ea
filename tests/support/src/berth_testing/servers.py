"""Start a server of the system as a child process, wait until it answers, and end it so that nothing stays."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest

from berth_local.ports import free_port

__all__ = ["Daemon", "ServerFailedError", "fill", "free_ports", "require_root_and", "working_directory"]


class ServerFailedError(RuntimeError):
    """A test server did not start or stop in time. Its log, quoted here, says why."""


def require_root_and(*programs: str) -> None:
    """Skip the test unless these programs are installed and may be run: the servers change their user, which needs root."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
    missing = [program for program in programs if shutil.which(program, path=path) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: run tests/support/install-servers as root")
    if os.geteuid() != 0:
        pytest.skip(f"{', '.join(programs)} can only be started as root")


@contextlib.contextmanager
def working_directory(prefix: str) -> Iterator[Path]:
    """A directory with a short path, which other users can enter, removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix=prefix))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def free_ports(count: int) -> list[int]:
    """Different ports that are free on every loopback address."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port(address="0.0.0.0"))
    return sorted(ports)


def fill(template: str, values: Mapping[str, object]) -> str:
    """A configuration file of `templates/` with every @NAME@ replaced."""
    text = (files("berth_testing") / "templates" / template).read_text()
    for name, value in values.items():
        text = text.replace(f"@{name.upper()}@", str(value))
    return text


@dataclass(slots=True)
class Daemon:
    """One server that stays in the foreground, as a child of the tests.

    Attributes:
        command: what to run.
        log: where the server writes, quoted when it fails.
        user: the user to run as; None keeps root.
        output: whether the log is what the server prints, not a file that it opens.
    """

    command: Sequence[str | Path]
    log: Path
    user: str | None = None
    output: bool = False
    _process: subprocess.Popen[bytes] | None = None

    def start(self, ports: Sequence[int], *, within: float = 15) -> None:
        """Start it and wait until every port of 127.0.0.1 accepts, `within` seconds at most."""
        as_user: dict[str, object] = {}
        if self.user is not None:
            account = pwd.getpwnam(self.user)
            as_user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        with self.log.open("ab") if self.output else contextlib.nullcontext(subprocess.DEVNULL) as out:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd="/",
                start_new_session=True,  # a Ctrl-C reaches the tests, which then stop the servers in order
                **as_user,  # type: ignore[call-overload]
            )
        deadline = time.monotonic() + within
        for port in ports:
            while not _accepts(port):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise ServerFailedError(
                        f"{self.command[0]} does not answer on port {port}:\n{self.log_text()[-2000:]}"
                    )
                time.sleep(0.02)

    def stop(self, *, within: float = 15) -> None:
        """End it, and whatever it started that is still in its process group."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise ServerFailedError(f"{self.command[0]} had to be killed:\n{self.log_text()[-2000:]}") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def log_text(self) -> str:
        """What it has logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
