"""`python -m berth_dns_auditor`, `berth-dns-auditor`: the service's commands, and `audit DOMAIN` for a look by hand."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from berth_dns_auditor.advice import advice
from berth_dns_auditor.audit import Audit
from berth_dns_auditor.bootstrap import SERVICE, make_auditor, open_dns
from berth_events.runtime.cli import run_command_line
from berth_net.settings import DnsSettings


def main() -> int:
    """Run the command line."""
    if sys.argv[1:2] == ["audit"]:
        return _audit(sys.argv[2:])
    return run_command_line(SERVICE)


def _audit(arguments: list[str]) -> int:
    """Audit one domain and print its record; needs no database and no bus."""
    parser = argparse.ArgumentParser(
        prog="berth-dns-auditor audit", description="Audit a domain with the name servers of BERTH_DNS_SERVERS."
    )
    parser.add_argument("domain", help="in its A-label form, for example example.com")
    parser.add_argument("--advice", action="store_true", help="say what to publish, instead of the record as JSON")
    options = parser.parse_args(arguments)
    try:
        settings = DnsSettings()
    except ValidationError as error:
        print(f"BERTH_DNS_SERVERS: {error.errors()[0]['msg']}", file=sys.stderr)
        return 2
    audit = asyncio.run(_audit_with(settings.berth_dns_servers, options.domain))
    print(advice(audit.record.findings) if options.advice else audit.record.model_dump_json(indent=2))
    return 0


async def _audit_with(dns_servers: Sequence[str], domain: str) -> Audit:
    async with open_dns(dns_servers) as dns:
        return await make_auditor(dns).audit(domain)


if __name__ == "__main__":
    sys.exit(main())
