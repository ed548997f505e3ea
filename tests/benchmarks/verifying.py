"""What a verification costs: CPU of this process for IMAP and SMTP over TLS against Dovecot and Postfix."""

import asyncio
import time
from uuid import uuid4

from benchmarks.figures import Figure
from berth_connector.bootstrap import HOST_MEMORY_S
from berth_connector.diagnosis import DiagnosisTable
from berth_connector.probe import Login, Prober, client_context
from berth_events.contracts import MailServer
from berth_events.runtime.clock import SystemClock
from berth_net import DnsResolver, HostGuard, Policy, RememberingResolver
from berth_testing.mail_bed import MailBed
from berth_testing.mail_users import bulk_user
from berth_testing.nsd import NameServer
from berth_testing.platform import ALLOWED_NETWORK

__all__ = ["measure_verifying"]

_MAILBOXES = 600
_IN_FLIGHT = 20


async def measure_verifying(bed: MailBed, nsd: NameServer) -> list[Figure]:
    """Verify mailboxes, some at a time."""
    policy = Policy.parse(ALLOWED_NETWORK, ",".join(str(port) for port in bed.ports.values()))
    guard = HostGuard(RememberingResolver(DnsResolver([nsd.endpoint]), seconds=HOST_MEMORY_S), policy)
    clock = SystemClock()
    table = DiagnosisTable.load()
    prober = Prober(guard, client_context(bed.ca_file), table, clock, local_hostname="bench.example")
    gate = asyncio.Semaphore(_IN_FLIGHT)

    async def verify(number: int) -> None:
        address, password = bulk_user(number)
        imap, smtp = (
            Login(MailServer(host=bed.hostname, port=bed.ports[name], security="tls", username=address), password)
            for name in ("imaps", "smtps")
        )
        async with gate:
            result = await prober.verify(uuid4(), imap, smtp)
        if result.verification.outcome != "connected":
            raise RuntimeError(str(result.verification.diagnosis))

    await asyncio.gather(*(verify(number) for number in range(_IN_FLIGHT)))  # servers and caches are warm then
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(verify(number) for number in range(_IN_FLIGHT, _MAILBOXES)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    count = _MAILBOXES - _IN_FLIGHT
    return [
        Figure("verification, CPU per mailbox (IMAP + SMTP over TLS)", cpu / count * 1000, "ms"),
        Figure(f"    mailboxes verified, {_IN_FLIGHT} at a time", count / wall, "/s"),
    ]
