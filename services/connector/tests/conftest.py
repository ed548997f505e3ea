"""Certificates, and probers that reach scripted servers of this process."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from uuid import UUID

import pytest

from berth_connector.diagnosis import DiagnosisTable
from berth_connector.probe import Limits, Login, Prober, client_context
from berth_events.contracts import MailServer, Verification
from berth_events.runtime.clock import SystemClock
from berth_net import Address, HostGuard, HostNotFound, LookupFailed, Policy
from berth_testing.certificates import issue_certificates

RUN = UUID("01890000-0000-7000-8000-000000000001")
#: Short enough for quick tests, long enough for a busy machine to do a handshake.
LIMITS = Limits(resolve=1, connect=1, tls=1, reply=0.5, authenticate=0.7, look=1, total=4)


class Loopback:
    """Every name is 127.0.0.1, but for some."""

    async def addresses(self, host: str) -> tuple[Address, ...]:
        if host == "missing.test.example":
            raise HostNotFound(f"The host {host} does not exist or has no address. Check its spelling.")
        if host == "lame.test.example":
            raise LookupFailed(f"The lookup of {host} failed: SERVFAIL.")
        if host == "mixed.test.example":
            return ip_address("127.0.0.1"), ip_address("169.254.169.254")
        return (ip_address("127.0.0.1"),)


@dataclass(frozen=True)
class Certificates:
    """Server contexts by the name of their certificate, and the file of the authority."""

    directory: Path
    authority: Path
    contexts: dict[str, ssl.SSLContext] = field(default_factory=dict)

    def server(self, name: str = "good") -> ssl.SSLContext:
        if name not in self.contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.directory / f"{name}.crt", self.directory / f"{name}.key")
            self.contexts[name] = context
        return self.contexts[name]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    directory = tmp_path_factory.mktemp("certificates") / "issued"
    return Certificates(directory, issue_certificates(directory))


@pytest.fixture(scope="session")
def client_tls(certificates: Certificates) -> ssl.SSLContext:
    return client_context(certificates.authority)


@pytest.fixture(scope="session")
def table() -> DiagnosisTable:
    return DiagnosisTable.load()


Probe = Callable[..., Awaitable[Verification]]


@pytest.fixture
def probe(client_tls: ssl.SSLContext, table: DiagnosisTable) -> Probe:
    """Verifies an account at ports of this machine: `await probe(imap=port, password="...")`."""

    async def run(
        *,
        imap: int | None = None,
        smtp: int | None = None,
        host: str = "mail.test.example",
        security: str = "tls",
        username: str = "me@test.example",
        password: str = "correct horse",
        mechanism: str = "auto",
        limits: Limits = LIMITS,
        allow_ports: Sequence[int] | None = None,
    ) -> Verification:
        def login(port: int | None) -> Login | None:
            if port is None:
                return None
            server = MailServer.model_validate(
                {"host": host, "port": port, "security": security, "username": username, "mechanism": mechanism}
            )
            return Login(server, password)

        ports = frozenset(allow_ports if allow_ports is not None else [port for port in (imap, smtp) if port])
        guard = HostGuard(Loopback(), Policy(allow_networks=(ip_network("127.0.0.0/8"),), allow_ports=ports))
        prober = Prober(guard, client_tls, table, SystemClock(), local_hostname="verify.test.example", limits=limits)
        return (await prober.verify(RUN, login(imap), login(smtp))).verification

    return run


@pytest.fixture
async def no_leaks() -> AsyncIterator[None]:
    """Fails when a test leaves a task behind."""
    before = asyncio.all_tasks()
    yield
    for _ in range(20):
        left = {task for task in asyncio.all_tasks() - before - {asyncio.current_task()} if not task.done()}
        if not left:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"left behind: {left}")
