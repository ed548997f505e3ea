"""`berth-dns-audit`: audits of domains by hand, without database and bus."""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from ipaddress import ip_address
from itertools import islice
from pathlib import Path
from typing import Any, Final, TextIO

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from berth_dns_auditor.advice import advice
from berth_dns_auditor.assembly import EVERYTHING, Choice, open_auditor
from berth_dns_auditor.audit import Audit
from berth_dns_auditor.checks.block_lists import BlockLists
from berth_dns_auditor.checks.known import Known, Sender
from berth_events.contracts import DkimCheck, DmarcCheck, DomainRecord, MxCheck, SpfCheck
from berth_net import HostRefused, canonical_name, parse_nameserver
from berth_net.settings import DnsSettings

__all__ = ["main"]

CONCURRENCY: Final = 16
CONCURRENCY_MAX: Final = 256
_EPILOG: Final = """\
exit status:
  0  no finding is critical or high
  1  a domain has a finding that is
  2  the command is wrong: nothing was audited
  3  no such finding, but a domain with MX, SPF, DKIM or DMARC unknown

examples:
  berth-dns-audit example.com
  berth-dns-audit --advice example.com example.net
  berth-dns-audit --json --file domains.txt > audits.jsonl
  cut -d@ -f2 addresses.txt | sort -u | berth-dns-audit -
  berth-dns-audit --server tls://192.0.2.1 --dns-only example.com
"""
_STYLES: Final = {"critical": "bold red", "high": "red", "medium": "yellow", "pass": "green", "fail": "red"}
_SERIOUS: Final = frozenset({"critical", "high"})
_WORTH_SHOWING: Final = frozenset({"critical", "high", "medium"})
#: Columns of a table that does not go to a terminal.
_WIDTH: Final = 160


def main(arguments: Sequence[str] | None = None, *, prog: str = "berth-dns-audit") -> int:
    """Run the command line; what comes out is the exit status.

    Args:
        arguments: Those behind the name of the program; default: of this process.
        prog: How the program is called.
    """
    parser = _parser(prog)
    options = parser.parse_args(arguments)
    try:
        domains = list(dict.fromkeys(map(_domain, _named(options, sys.stdin))))
        servers = tuple(options.server) or DnsSettings().berth_dns_servers
        for server in servers:
            parse_nameserver(server)
    except ValidationError as error:
        parser.exit(2, f"BERTH_DNS_SERVERS: {error.errors()[0]['msg']}\n")
    except (OSError, ValueError) as error:
        parser.exit(2, f"{prog}: {error}\n")
    if not domains:
        parser.error("no domain was named")
    return asyncio.run(_run(options, servers, domains))


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Audit mail domains: MX, SPF, DKIM, DMARC, reverse DNS, MTA-STS, TLSRPT, DANE, DNSSEC, BIMI, name "
        "servers, registration, web site, block lists. Everything is read from the DNS and the web; nothing is sent by mail.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("domains", nargs="*", metavar="DOMAIN", help="for example example.com; - reads them from stdin")
    parser.add_argument("-f", "--file", type=Path, help="a file of domains, one a line; # begins a comment")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--table", action="store_true", help="a line for each domain (default)")
    form.add_argument(
        "--advice", action="store_true", help="each finding, with the lines to remove (-) and add (+) in the zone"
    )
    form.add_argument("--json", action="store_true", help="a line of JSON for each domain, as soon as it is done")
    parser.add_argument(
        "--server",
        action="append",
        default=[],
        metavar="SERVER",
        help="name server to ask: address, address:port, tls://address, https://host/path; again for more. "
        "Default: BERTH_DNS_SERVERS, else those of the system",
    )
    parser.add_argument(
        "--concurrency", type=_count, default=CONCURRENCY, metavar="N", help=f"audits at once (default {CONCURRENCY})"
    )
    parser.add_argument(
        "--dns-only", action="store_true", help="ask nobody but the name servers: no web, no registry, no authorities"
    )
    parser.add_argument(
        "--sender",
        action="append",
        type=ip_address,
        default=[],
        metavar="ADDRESS",
        help="an IP address that sends for the domains; again for more",
    )
    parser.add_argument("--selector", action="append", default=[], metavar="NAME", help="a DKIM selector to look for")
    parser.add_argument("--dnsbl", action="append", default=[], metavar="ZONE", help="a block list of addresses to ask")
    parser.add_argument("--dbl", action="append", default=[], metavar="ZONE", help="a block list of domains to ask")
    parser.add_argument("--type99", action="store_true", help="look for records of the obsolete SPF type too")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar, which goes to stderr")
    return parser


def _count(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= CONCURRENCY_MAX:
        raise argparse.ArgumentTypeError(f"not a number from 1 to {CONCURRENCY_MAX}: {text}")
    return number


def _named(options: argparse.Namespace, stdin: TextIO) -> Iterable[str]:
    """The domains, from wherever they are named."""
    for name in options.domains:
        yield from _lines(stdin) if name == "-" else (name,)
    if options.file:
        with options.file.open(encoding="utf-8") as file:
            yield from _lines(file)


def _lines(file: TextIO) -> Iterable[str]:
    lines = (line.partition("#")[0].strip() for line in file)
    return filter(None, lines)


def _domain(text: str) -> str:
    try:
        return canonical_name(text)
    except HostRefused as error:
        raise ValueError(f"{text}: {error}") from error


async def _run(options: argparse.Namespace, servers: Sequence[str], domains: Sequence[str]) -> int:
    choice = Choice(
        asked=() if options.dns_only else EVERYTHING,
        lists=BlockLists(tuple(options.dnsbl), tuple(options.dbl)),
        type99=options.type99,
    )
    known = Known(selectors=tuple(options.selector), senders=tuple(Sender(str(address)) for address in options.sender))
    stderr = Console(stderr=True)
    progress = Progress(
        TextColumn("auditing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=stderr,
        transient=True,
        disable=len(domains) == 1 or not stderr.is_terminal or options.no_progress,
    )
    rows: dict[str, DomainRecord] = {}
    statuses: set[int] = set()
    with progress:
        bar = progress.add_task("", total=len(domains))
        async with open_auditor(servers, choice) as assembly:
            audit = assembly.auditor.audit
            async for domain, result in _each(lambda name: audit(name, known), domains, options.concurrency):
                statuses.add(_status(result.record))
                if options.json:
                    _say(json.dumps({"domain": domain, "record": result.record.model_dump(mode="json")}))
                elif options.advice:
                    _say(_advice(domain, result.record))
                else:
                    rows[domain] = result.record
                progress.advance(bar)
    if rows:
        console = Console(width=None if sys.stdout.isatty() else _WIDTH)
        console.print(_table((domain, rows[domain]) for domain in domains))
    return next((status for status in (1, 3) if status in statuses), 0)


async def _each(
    audit: Callable[[str], Coroutine[Any, Any, Audit]], domains: Iterable[str], concurrency: int
) -> AsyncIterator[tuple[str, Audit]]:
    """The audits, as they are done."""

    async def one(domain: str) -> tuple[str, Audit]:
        return domain, await audit(domain)

    waiting = iter(domains)
    running = {asyncio.create_task(one(domain)) for domain in islice(waiting, concurrency)}
    try:
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            running |= {asyncio.create_task(one(domain)) for domain in islice(waiting, len(done))}
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _status(record: DomainRecord) -> int:
    if any(found.severity in _SERIOUS for found in record.findings):
        return 1
    return 3 if "unknown" in {check.state for check in _core(record)} else 0


def _core(record: DomainRecord) -> tuple[MxCheck | SpfCheck | DkimCheck | DmarcCheck, ...]:
    return record.mx, record.spf, record.dkim, record.dmarc


def _advice(domain: str, record: DomainRecord) -> str:
    score = "not known" if record.health_score is None else f"{record.health_score} of 100"
    text = advice(record.findings) or "nothing to mend"
    return f"{domain}: health {score}\n\n{text}\n"


def _table(rows: Iterable[tuple[str, DomainRecord]]) -> Table:
    table = Table("domain", "health", "MX", "SPF", "DKIM", "DMARC", "critical", "high", "medium", "to be mended first")
    for domain, record in rows:
        counts = Counter(found.severity for found in record.findings)
        states = [Text(check.state, style=_STYLES.get(check.state, "")) for check in _core(record)]
        if record.dmarc.policy:
            states[3].append(f" {record.dmarc.policy}")
        first = next((found for found in record.findings if found.severity in _WORTH_SHOWING), None)
        table.add_row(
            domain,
            "-" if record.health_score is None else str(record.health_score),
            *states,
            *(str(counts[severity] or "-") for severity in ("critical", "high", "medium")),
            Text(first.code, style=_STYLES.get(first.severity, "")) if first else "",
        )
    return table
