import os
from pathlib import Path

import pytest

from berth_testing.servers import Daemon, ServerFailedError, free_ports, require_root_and, working_directory


def test_a_missing_program_is_a_skip_that_says_what_to_do() -> None:
    with pytest.raises(
        pytest.skip.Exception, match="no-such-server not installed: run tests/support/install-servers as root"
    ):
        require_root_and("bash", "no-such-server")


def test_without_root_it_is_a_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(pytest.skip.Exception, match="can only be started as root"):
        require_root_and("bash")


def test_a_server_that_ends_is_told_with_its_log(tmp_path: Path) -> None:
    daemon = Daemon(["/bin/sh", "-c", "echo no such configuration; exit 1"], tmp_path / "log", output=True)
    with pytest.raises(ServerFailedError, match="no such configuration"):
        daemon.start(free_ports(1))


def test_a_server_that_ignores_the_signal_is_killed_and_told(tmp_path: Path) -> None:
    [port] = free_ports(1)
    deaf = f"import signal, socket, time; signal.signal(15, signal.SIG_IGN); s = socket.create_server(('', {port}))"
    daemon = Daemon(["python3", "-c", f"{deaf}; time.sleep(99)"], tmp_path / "log", output=True)
    daemon.start([port])
    with pytest.raises(ServerFailedError, match="had to be killed"):
        daemon.stop(within=0.2)


def test_a_working_directory_can_be_entered_by_others_and_goes() -> None:
    with working_directory("berth-test-") as directory:
        assert directory.stat().st_mode & 0o777 == 0o755
    assert not directory.exists()
