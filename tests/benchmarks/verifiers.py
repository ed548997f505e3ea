"""One verifier in one process over some of the bed's mailboxes: what `verifying.py` starts and measures.

`python -m benchmarks.verifiers JOB` prints a line of JSON: seconds, seconds of CPU, megabytes. The peer's program, imapflow.cjs,
takes the same job. Loading and the first mailboxes, which fill caches and warm compilers, are not counted.
"""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

import uvloop

from berth_connector.bootstrap import HOST_MEMORY_S
from berth_connector.diagnosis import DiagnosisTable
from berth_connector.probe import Login, Prober, client_context
from berth_events.contracts import MailServer
from berth_events.runtime.clock import SystemClock
from berth_events.runtime.garbage import keep_loaded
from berth_net import DnsResolver, HostGuard, Policy, RememberingResolver
from berth_testing.mail_users import bulk_user
from berth_testing.platform import ALLOWED_NETWORK

__all__ = ["make_prober", "server_of"]

Job = dict[str, Any]


def make_prober(job: Job) -> Prober:
    """A prober as the connector has it, which may dial the bed."""
    policy = Policy.parse(ALLOWED_NETWORK, ",".join(map(str, job["ports"].values())))
    guard = HostGuard(RememberingResolver(DnsResolver([job["dns"]]), seconds=HOST_MEMORY_S), policy)
    tls = client_context(Path(job["ca_file"]))
    return Prober(guard, tls, DiagnosisTable.load(), SystemClock(), local_hostname="bench.example")


def server_of(job: Job, protocol: str, username: str) -> MailServer:
    """Where a mailbox is."""
    return MailServer(host=job["hostname"], port=job["ports"][protocol], security="tls", username=username)


async def _berth(job: Job) -> dict[str, float]:
    prober = make_prober(job)
    gate = asyncio.Semaphore(job["at_once"])

    async def verify(number: int) -> None:
        address, password = bulk_user(number)
        imap, smtp = (Login(server_of(job, protocol, address), password) for protocol in ("imap", "smtp"))
        async with gate:
            found = (await prober.verify(uuid4(), imap, smtp)).verification
        if found.outcome != "connected":
            raise RuntimeError(str(found.diagnosis))

    async def verify_all(numbers: Iterable[int]) -> None:
        await asyncio.gather(*map(verify, numbers))

    await verify_all(range(job["warm"]))
    keep_loaded()  # as every service does when it is ready
    wall, cpu = time.perf_counter(), time.process_time()
    await verify_all(range(job["warm"], job["warm"] + job["count"]))
    return {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def main() -> None:
    """Verify, and print one line of JSON."""
    job = json.loads(sys.argv[1])
    os.sched_setaffinity(0, {job["core"]})
    found = uvloop.run(_berth(job))
    print(json.dumps(found | {"megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
