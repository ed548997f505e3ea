"""`make bulk-dns`: 20,000 domains, of which one in twenty is silent, one fails and one is lame, as the service audits them.

Every result is compared with what the domain publishes. Answers come from a process of its own.
"""

import asyncio
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

import uvloop

from berth_dns_auditor.audit import Auditor
from berth_dns_auditor.bootstrap import CONCURRENCY, make_auditor, open_dns
from berth_events.runtime.garbage import keep_loaded
from berth_testing.bulk_dns import bulk_dns, kind_of, mail_address

__all__: list[str] = []

_DOMAINS: Final = 20_000


def _megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


async def _audit(auditor: Auditor, number: int) -> str:
    """`exact`, `unknown` or `wrong`."""
    name = f"d{number}.example"
    record = (await auditor.audit(name)).record
    states = {record.mx.state, record.spf.state, record.dkim.state, record.dmarc.state}
    if kind_of(number) != "healthy":
        return "unknown" if states == {"unknown"} else "wrong"
    found = ([(row.host, row.address) for row in record.mx.records], record.spf.value, record.dkim.selector, states)
    expected = ([(f"mx.{name}", mail_address(number))], "v=spf1 mx -all", "default", {"pass"})
    return "exact" if found == expected and record.dmarc.location == name else "wrong"


async def _run(port: int) -> bool:
    counts: Counter[tuple[str, str]] = Counter()
    numbers = iter(range(_DOMAINS))
    began, cpu = time.perf_counter(), time.process_time()

    async def work(auditor: Auditor) -> None:
        for number in numbers:
            counts[kind_of(number), await _audit(auditor, number)] += 1
            if counts.total() % 2000 == 0:
                tasks = len(asyncio.all_tasks())
                print(
                    f"{counts.total():>6} after {time.perf_counter() - began:5.0f} s: {_megabytes():.0f} MB, {tasks} tasks",
                    flush=True,
                )

    async with open_dns([f"127.0.0.1:{port}"]) as dns:
        keep_loaded()
        await asyncio.gather(*(work(make_auditor(dns)) for _ in range(CONCURRENCY)))
    seconds = time.perf_counter() - began
    print(f"{_DOMAINS / seconds:.0f} domains/s, {(time.process_time() - cpu) / _DOMAINS * 1000:.1f} ms CPU each")
    for (kind, result), count in sorted(counts.items()):
        print(f"{kind:>8} domains: {count:>6} {result}")
    return not any(result == "wrong" for _, result in counts)


def main() -> int:
    """Audit them all; status 1 if a result is wrong."""
    with bulk_dns() as port:
        return 0 if uvloop.run(_run(port)) else 1


if __name__ == "__main__":
    sys.exit(main())
