"""How much memory a process needs for 3,000 verifications in flight: the second part of `make bench-verify`.

The servers are another process. They speak TLS and wait before every reply, so that a verification takes 15 s; the
prober has its usual limits. Verifications begin at an even pace until so many are in flight, and each that ends is replaced by
another one until twice as many are done.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from uuid import uuid4

import uvloop

from berth_connector.diagnosis import DiagnosisTable
from berth_connector.probe import Login, Prober, client_context
from berth_events.contracts import MailServer
from berth_events.runtime.clock import SystemClock
from berth_events.runtime.garbage import keep_loaded
from berth_net import Address, HostGuard, Policy

__all__: list[str] = []

_HOST: Final = "mail.test.example"
_ADDRESS: Final = "127.0.0.1"
_IN_FLIGHT: Final = 3000


class _Known:
    async def addresses(self, _host: str, /) -> tuple[Address, ...]:
        return (ip_address(_ADDRESS),)


def _resident() -> float:
    """Megabytes of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


async def _measure(ca_file: Path, ports: dict[str, int], seconds: float) -> None:
    guard = HostGuard(_Known(), Policy.parse("127.0.0.0/29", ",".join(map(str, ports.values()))))
    prober = Prober(
        guard, client_context(ca_file), DiagnosisTable.load(), SystemClock(), local_hostname="bench.example"
    )
    keep_loaded()
    before, most, in_flight, peak, failed = _resident(), 0.0, 0, 0, 0

    async def verify() -> None:
        nonlocal in_flight, peak, failed
        imap, smtp = (
            Login(MailServer(host=_HOST, port=ports[name], security="tls", username="a@test.example"), "secret-word")
            for name in ("imap", "smtp")
        )
        in_flight += 1
        peak = max(peak, in_flight)
        found = (await prober.verify(uuid4(), imap, smtp)).verification
        in_flight -= 1
        failed += found.outcome != "connected"

    gate = asyncio.Semaphore(_IN_FLIGHT)
    wall, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as running:
        for number in range(2 * _IN_FLIGHT):
            await asyncio.sleep(max(0, wall + number * seconds / _IN_FLIGHT - time.perf_counter()))
            await gate.acquire()
            running.create_task(verify()).add_done_callback(lambda _: gate.release())
            most = max(most, _resident())
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{2 * _IN_FLIGHT} verifications in {wall:.0f} s, at most {peak} in flight, {failed} failed")
    print(f"RSS {most:.0f} MB at most, {before:.0f} MB before; {cpu / 2 / _IN_FLIGHT * 1000:.1f} ms of CPU each")


def main() -> None:
    """Measure, and print it."""
    with tempfile.TemporaryDirectory(prefix="berth-bench-") as folder:
        tls = Path(folder, "tls")
        command = [sys.executable, "-m", "benchmarks.slow_servers", str(tls)]
        told = Path(folder, "told")
        with told.open("w") as output, subprocess.Popen(command, stdout=output) as servers:
            try:
                while not told.read_text().endswith("\n"):
                    time.sleep(0.1)
                uvloop.run(_measure(tls / "ca.pem", **json.loads(told.read_text())))
            finally:
                servers.terminate()


if __name__ == "__main__":
    main()
