"""`make bench-dns`: the DNS auditor beside checkdmarc, on the same zones of the same NSD, in one run.

Each line is the median of several runs; the auditors take turns, so that what else the machine does meets them all. An auditor
has one core for each of its processes. checkdmarc is given its best settings; it does less: no DKIM, no reverse names confirmed.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.audit_zones import audit_zones
from benchmarks.delaying import delayed
from berth_testing.nsd import name_server

__all__: list[str] = []

_DOMAINS: Final = 300
_RUNS: Final = 3
_ROUND_TRIP_S: Final = 0.02
_CORES: Final = (0, 1)


@dataclass(frozen=True, slots=True)
class _Setting:
    """How an auditor is run: `concurrency` audits at once in each of some processes, on so many domains altogether."""

    auditor: str
    title: str
    concurrency: int
    domains: int
    far: bool = False
    processes: int = 1


@dataclass(frozen=True, slots=True)
class _Figures:
    rate: float
    cpu_ms: float
    questions: float
    megabytes: float


_SETTINGS: Final = (
    _Setting("berth", "Berth, 1 process, 32 audits at once", 32, _DOMAINS),
    _Setting("checkdmarc", "checkdmarc, 1 process", 1, 60),
    _Setting("checkdmarc", "checkdmarc, 2 processes", 1, 100, processes=2),
    _Setting("berth", "Berth, 1 process, 32 audits at once", 32, _DOMAINS, far=True),
    _Setting("checkdmarc", "checkdmarc, 1 process", 1, 4, far=True),
    _Setting("checkdmarc", "checkdmarc, 2 processes, 32 threads each", 32, 128, far=True, processes=2),
)


def _run(setting: _Setting, port: int) -> _Figures:
    share = setting.domains // setting.processes
    running = [
        subprocess.Popen(
            [
                sys.executable,
                *("-m", "benchmarks.auditors", setting.auditor),
                *map(str, (port, number * share, share, setting.concurrency, _CORES[number])),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(setting.processes)
    ]
    found = []
    for process in running:
        output, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{setting.title}: status {process.returncode}")
        found.append(json.loads(output))
    return _Figures(
        rate=setting.domains / max(one["seconds"] for one in found),
        cpu_ms=sum(one["cpu"] for one in found) / setting.domains * 1000,
        questions=sum(one["questions"] for one in found) / setting.domains,
        megabytes=sum(one["megabytes"] for one in found),
    )


def _middle(runs: Sequence[_Figures]) -> _Figures:
    return _Figures(*(median(getattr(run, name) for run in runs) for name in _Figures.__slots__))


def main() -> None:
    """Measure, and print a table."""
    runs: dict[_Setting, list[_Figures]] = {setting: [] for setting in _SETTINGS}
    with ExitStack() as stack:
        near = stack.enter_context(name_server(audit_zones(_DOMAINS))).port
        far = stack.enter_context(delayed(near, _ROUND_TRIP_S))
        for _ in range(_RUNS):
            for setting, results in runs.items():
                results.append(_run(setting, far if setting.far else near))
    print(f"| {'auditor':<42} | round trip | domains/s | CPU ms per domain | per CPU s | questions | RSS, MB |")
    print(f"|{'-' * 44}|{'-' * 12}|{'-' * 11}|{'-' * 19}|{'-' * 11}|{'-' * 11}|{'-' * 9}|")
    for setting, results in runs.items():
        one = _middle(results)
        trip = f"{_ROUND_TRIP_S * 1000:.0f} ms" if setting.far else "loopback"
        questions = f"{one.questions:.0f}" if one.questions else ""
        print(
            f"| {setting.title:<42} | {trip:>10} | {one.rate:>9.1f} | {one.cpu_ms:>17.1f} | {1000 / one.cpu_ms:>9.0f} "
            f"| {questions:>9} | {one.megabytes:>7.0f} |",
            flush=True,
        )
    berth, *others = (_middle(runs[setting]).cpu_ms for setting in _SETTINGS if not setting.far)
    print(f"\nIn the same CPU time Berth audits {min(others) / berth:.1f} times as many domains as checkdmarc.")


if __name__ == "__main__":
    main()
