"""`make bench-verify`: what a verification costs, beside imapflow and nodemailer on the same servers in the same run.

A verification is IMAP and SMTP over TLS at once: handshakes, log-ins, the INBOX opened for reading. Each line is the median of
several runs; the two take turns, so that what else the machine does meets both. Each has one core.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.figures import Figure
from berth_testing.mail_bed import MailBed, mail_servers
from berth_testing.nsd import NameServer, name_server
from berth_testing.zones import DOMAINS

__all__ = ["measure_verifying"]

_PEERS: Final = ("imapflow@1.0.200", "nodemailer@10.6.0")
_PEER_FOLDER: Final = Path(".run/bench-verify")
_PEER: Final = Path(__file__).with_name("imapflow.cjs")
_MAILBOXES: Final = 600
_WARM: Final = 100
_AT_ONCE: Final = 20
_RUNS: Final = 3
_BERTH: Final = (sys.executable, "-m", "benchmarks.verifiers")


def measure_verifying(bed: MailBed, nsd: NameServer) -> list[Figure]:
    """Verify mailboxes once, some at a time."""
    found = _run(_BERTH, _job(bed, nsd))
    return [
        Figure("verification, CPU per mailbox (IMAP + SMTP over TLS)", found["cpu"] / _MAILBOXES * 1000, "ms"),
        Figure(f"    mailboxes verified, {_AT_ONCE} at a time", _MAILBOXES / found["seconds"], "/s"),
    ]


def _job(bed: MailBed, nsd: NameServer) -> dict[str, Any]:
    return {
        "ca_file": str(bed.ca_file),
        "hostname": bed.hostname,
        "address": bed.hosts[bed.hostname],  # the peer has no name to look up
        "ports": {"imap": bed.ports["imaps"], "smtp": bed.ports["smtps"]},
        "dns": nsd.endpoint,
        "warm": _WARM,
        "count": _MAILBOXES,
        "at_once": _AT_ONCE,
        "core": 0,
    }


def _run(command: tuple[str, ...], job: dict[str, Any]) -> dict[str, float]:
    environment = {**os.environ, "NODE_PATH": str(_PEER_FOLDER / "node_modules")}
    made = subprocess.run([*command, json.dumps(job)], stdout=subprocess.PIPE, env=environment, check=True, timeout=600)
    found: dict[str, float] = json.loads(made.stdout)
    return found


def _install_peer() -> tuple[str, ...]:
    if not (shutil.which("node") and shutil.which("npm") and shutil.which("taskset")):
        raise SystemExit("The peer needs Node.js: apt-get install nodejs npm util-linux")
    if not (_PEER_FOLDER / "node_modules").is_dir():
        install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(_PEER_FOLDER), *_PEERS]
        subprocess.run(install, check=True, timeout=300)
    return ("taskset", "-c", "0", "node", str(_PEER))


def main() -> None:
    """Measure, and print a table."""
    verifiers = {"Berth": _BERTH, "imapflow + nodemailer": _install_peer()}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in verifiers}
    with mail_servers() as bed, name_server(DOMAINS) as nsd:
        for _ in range(_RUNS):
            for name, command in verifiers.items():
                runs[name].append(_run(command, _job(bed, nsd)))
    print(f"| {'verifier':<22} | CPU ms per mailbox (least to most) | mailboxes/s | RSS, MB |")
    print(f"|{'-' * 24}|{'-' * 36}|{'-' * 13}|{'-' * 9}|")
    middle: dict[str, float] = {}
    for name, found in runs.items():
        cpu = [one["cpu"] / _MAILBOXES * 1000 for one in found]
        middle[name] = median(cpu)
        shown = f"{middle[name]:.2f} ({min(cpu):.2f} to {max(cpu):.2f})"
        rate = _MAILBOXES / median(one["seconds"] for one in found)
        print(f"| {name:<22} | {shown:>34} | {rate:>11.0f} | {median(one['megabytes'] for one in found):>7.0f} |")
    print(f"\nBerth takes {middle['Berth'] / middle['imapflow + nodemailer']:.0%} of the peer's CPU.")


if __name__ == "__main__":
    main()
