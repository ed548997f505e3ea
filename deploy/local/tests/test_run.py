"""`make run` from outside: everything starts, the demo's four results come, and nothing is left behind."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from berth_local.description import Description

START_SECONDS = 90
RESULT_SECONDS = 30
STOP_SECONDS = 40


#: A mailbox of each played provider, and the diagnosis that it ends with; None: it connects.
PLAYED = {
    "auth-app-password-required@gmail.com": "AUTH_APP_PASSWORD_REQUIRED",
    "smtp-auth-disabled-tenant@outlook.com": "SMTP_AUTH_DISABLED_TENANT",
    "rate-limited@yahoo.com": "RATE_LIMITED",
    "auth-app-password-required@icloud.com": "AUTH_APP_PASSWORD_REQUIRED",
    "imap-disabled@zoho.com": "IMAP_DISABLED",
    "auth-app-password-required@fastmail.com": "AUTH_APP_PASSWORD_REQUIRED",
    "auth-ambiguous@yandex.com": "AUTH_AMBIGUOUS",
    "client-id-required@163.com": "CLIENT_ID_REQUIRED",
    "auth-ambiguous@qq.com": "AUTH_AMBIGUOUS",
    "auth-app-password-required@mail.ru": "AUTH_APP_PASSWORD_REQUIRED",
    "works@gmail.com": None,
    "works@icloud.com": None,
    "works@163.com": None,
    "works@gworkspace.test": None,
}


class Stack:
    """A `make run`, without make."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.output = directory.parent / "output"
        environment = {
            name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "KAFKA_BOOTSTRAP")
        }
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "berth_local", "run", "--directory", str(directory)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment | {"COLUMNS": "160"},
                cwd=directory.parent,
            )

    def wait_for(self, text: str, seconds: float = START_SECONDS) -> str:
        deadline = time.monotonic() + seconds
        while text not in self.output.read_text():
            ended = self.process.poll()
            assert ended is None, f"it ended with {ended}: {self.output.read_text()}"
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.05)
        return self.output.read_text()

    def ready(self) -> Description:
        self.wait_for("Ctrl-C stops it")
        found = Description.read(self.directory)
        assert found
        return found

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(how)
        return self.process.wait(STOP_SECONDS)


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="berth-run-"))
    root.chmod(0o755)  # the server's user has to enter it
    yield root / ".run"
    shutil.rmtree(root)


def everything_of(description: Description) -> set[int]:
    """The processes of the stack."""
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout
    directory = str(Path(description.services["gateway"].log).parent.parent)
    ours = {int(line.split()[0]) for line in listed.splitlines() if directory in line}
    return ours | {service.pid for service in description.services.values()}


def wait_until_gone(pids: set[int]) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while left := {pid for pid in pids if is_alive(pid)}:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def curl_lines(text: str) -> list[str]:
    """The commands that are shown, a command may be on several lines."""
    return [match.strip() for match in re.findall(r"(?ms)^  (curl .*?)\n\n", text)]


@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX only")
def test_the_life_of_a_local_stack(directory: Path) -> None:
    stack = Stack(directory)
    try:
        description = stack.ready()
        accounts = _the_four_results(description)
        _a_second_one_does_no_harm(directory, description)
        _the_lines_shown_work(stack)
        _servers_are_found(description)
        _the_played_providers_answer(description)

        running = everything_of(description)
        assert len(running) >= 7  # four services, the sandbox, Postgres, `make run` itself
        assert stack.stop() == 0
        wait_until_gone(running)
        assert not (directory / "berth.json").exists()

        stack = Stack(directory)
        again = stack.ready()
        assert again.demo.accounts == description.demo.accounts
        kept = _the_four_results(again)
        assert {address: account["verification"] for address, account in kept.items()} == {
            address: account["verification"] for address, account in accounts.items()
        }

        running = everything_of(again)
        stack.process.kill()
        stack.process.wait()
        stack = Stack(directory)  # waits until the guardian has stopped the rest
        third = stack.ready()
        wait_until_gone(running)

        os.kill(third.services["billing"].pid, signal.SIGKILL)
        assert stack.process.wait(STOP_SECONDS) == 1
        assert "billing ended with status -9" in stack.output.read_text()
        wait_until_gone(everything_of(third))

        stack = Stack(directory)
        fourth = stack.ready()
        os.kill(int((directory / "postgres" / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        assert stack.process.wait(STOP_SECONDS) == 1
        assert "ended" in stack.output.read_text()
        wait_until_gone(everything_of(fourth))
    finally:
        if stack.process.poll() is None:
            stack.stop()


def _get(description: Description, path: str) -> Any:
    said = subprocess.run(
        ["curl", "-sf", description.url + path, "-H", f"Authorization: Bearer {description.demo.api_key}"],
        capture_output=True,
        check=True,
    )
    return json.loads(said.stdout)


def _the_four_results(description: Description) -> dict[str, Any]:
    items = _get(description, "/v1/accounts")["items"]
    accounts = {account["email"]: account for account in items if account["email"] in description.demo.accounts}
    status = {address: account["status"] for address, account in accounts.items()}
    assert status == {
        "ada@acme.test": "connected",
        "grace@acme.test": "failed",
        "linus@untrusted.test": "failed",
        "edsger@nodmarc.test": "connected",
    }
    codes = {address: account["diagnosis"] and account["diagnosis"]["code"] for address, account in accounts.items()}
    assert codes["ada@acme.test"] is None
    assert codes["grace@acme.test"].startswith("AUTH_")
    assert codes["linus@untrusted.test"].startswith("TLS_")
    checks = {address: account["domain"]["checks"] for address, account in accounts.items()}
    assert checks["ada@acme.test"] == {"mx": "pass", "spf": "pass", "dkim": "pass", "dmarc": "pass"}
    assert checks["edsger@nodmarc.test"]["dmarc"] == "fail"
    findings = {finding["code"] for finding in accounts["edsger@nodmarc.test"]["domain"]["findings"]}
    assert "DMARC_MISSING" in findings
    return accounts


def _a_second_one_does_no_harm(directory: Path, description: Description) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "berth_local", "run", "--directory", str(directory)],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert description.url in said.stdout
    assert f"process {description.pid}" in said.stdout
    assert Description.read(directory) == description


def _the_lines_shown_work(stack: Stack) -> None:
    lines = curl_lines(stack.output.read_text())
    assert len(lines) == 4
    for line in lines:
        said = subprocess.run(
            ["sh", "-c", f". .run/env; {line.replace('curl -s', 'curl -sf')}"],
            cwd=stack.directory.parent,
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(said.stdout)


def _the_played_providers_answer(description: Description) -> None:
    """Accounts are connected by their addresses alone, where the providers have the usual ports."""
    providers = description.sandbox.providers
    for address in PLAYED:
        at = next(provider for provider in providers if address.partition("@")[2] in provider.domains)
        servers = {
            "imap": {"host": at.imap_hosts[0], "port": at.imaps, "security": "tls"},
            "smtp": {"host": at.smtp_hosts[0], "port": at.submission, "security": "starttls"},
        }
        named = {} if at.on_standard_ports else servers
        body = {"email": address, "provider": "custom", "password": description.sandbox.provider_password, **named}
        _post(description, "/v1/accounts", body)
    if providers[0].on_standard_ports:
        found = _get(description, "/v1/autoconfig?email=works@gworkspace.test")
        assert (found["provider"], found["imap"][0]["host"]) == ("gmail", "imap.gmail.com")
    deadline = time.monotonic() + RESULT_SECONDS
    while True:
        items = _get(description, "/v1/accounts?limit=100")["items"]
        accounts = {account["email"]: account for account in items if account["email"] in PLAYED}
        if all(account["status"] != "pending" for account in accounts.values()):
            break
        assert time.monotonic() < deadline, accounts
        time.sleep(0.1)
    codes = {address: account["diagnosis"] and account["diagnosis"]["code"] for address, account in accounts.items()}
    assert codes == PLAYED


def _servers_are_found(description: Description) -> None:
    """Of the sandbox's own domains by their SRV records, whatever the ports are."""
    [host] = [each for each in description.sandbox.hosts if each.domain == "acme.test"]
    found = _get(description, "/v1/autoconfig?email=ada@acme.test")
    assert {(server["host"], server["port"], server["security"]) for server in found["imap"] + found["smtp"]} == {
        ("imap.acme.test", host.imaps, "tls"),
        ("imap.acme.test", host.imap, "starttls"),
        ("smtp.acme.test", host.submissions, "tls"),
        ("smtp.acme.test", host.submission, "starttls"),
    }
    assert [lookup["outcome"] for lookup in found["looked_up"]] == ["nothing", "nothing", "unknown", *["found"] * 4]


def _post(description: Description, path: str, body: dict[str, Any]) -> None:
    headers = ["-H", f"Authorization: Bearer {description.demo.api_key}", "-H", "Content-Type: application/json"]
    subprocess.run(
        ["curl", "-sf", description.url + path, *headers, "-d", json.dumps(body)], capture_output=True, check=True
    )
