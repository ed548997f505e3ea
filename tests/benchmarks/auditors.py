"""One auditor in one process over some of the domains: what `dns.py` starts and measures.

`python -m benchmarks.auditors berth|checkdmarc PORT FIRST COUNT CONCURRENCY CORE` prints seconds, seconds of CPU, questions
and megabytes. Loading and the first domains, which fill caches that are for ever, are not counted.
"""

import asyncio
import json
import os
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import uvloop
from dns.nameserver import Do53Nameserver

from benchmarks.audit_zones import domain_name
from berth_dns_auditor.bootstrap import make_auditor
from berth_dns_auditor.cache import AnswerCache
from berth_dns_auditor.nameservers import Nameserver, NameserverResolver
from berth_dns_auditor.resolver import Answer, Rdtype
from berth_events.runtime.garbage import keep_loaded

if TYPE_CHECKING:
    from berth_dns_auditor.audit import Auditor

__all__: list[str] = []

_WARM = 5


class _Counting:
    def __init__(self, resolver: NameserverResolver) -> None:
        self._resolver = resolver
        self.questions = 0

    async def query(self, name: str, rdtype: Rdtype) -> Answer:
        self.questions += 1
        return await self._resolver.query(name, rdtype)


async def _berth(port: int, domains: list[str], concurrency: int) -> dict[str, float]:
    gate = asyncio.Semaphore(concurrency)

    async def audit(auditor: "Auditor", domain: str) -> None:
        async with gate:
            record = (await auditor.audit(domain)).record
        states = (record.mx.state, record.spf.state, record.dkim.state, record.dmarc.state)
        if states != ("pass",) * 4:
            raise RuntimeError(f"{domain}: {states} {record.findings}")

    async with NameserverResolver([Nameserver("127.0.0.1", port)]) as resolver:
        async with AnswerCache(resolver) as cache:
            for domain in domains[:_WARM]:
                await audit(make_auditor(cache), domain)
        keep_loaded()
        counting = _Counting(resolver)
        async with AnswerCache(counting) as cache:
            auditor = make_auditor(cache)
            wall, cpu = time.perf_counter(), time.process_time()
            await asyncio.gather(*(audit(auditor, domain) for domain in domains))
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"seconds": wall, "cpu": cpu, "questions": counting.questions}


def _checkdmarc(port: int, domains: list[str], threads: int) -> dict[str, float]:
    import checkdmarc  # noqa: PLC0415 - not into the other's process

    nameservers = [Do53Nameserver("127.0.0.1", port)]

    def check(some: list[str]) -> None:
        for result in checkdmarc.check_domains([*some, "nothing.example"], nameservers=nameservers):
            if result["domain"] != "nothing.example" and not (result["spf"]["valid"] and result["dmarc"]["valid"]):
                raise RuntimeError(result)

    check(domains[:_WARM])
    checkdmarc.utils.DNS_CACHE.clear()
    wall, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(check, [domains[offset::threads] for offset in range(threads)]))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"seconds": wall, "cpu": cpu, "questions": 0}


def main() -> None:
    """Audit, and print one line of JSON."""
    name = sys.argv[1]
    port, first, count, concurrency, core = map(int, sys.argv[2:])
    os.sched_setaffinity(0, {core})
    domains = [domain_name(number) for number in range(first, first + count)]
    measured = (
        uvloop.run(_berth(port, domains, concurrency)) if name == "berth" else _checkdmarc(port, domains, concurrency)
    )
    found = measured | {"megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
