"""`python -m berth_dns_auditor`, `berth-dns-auditor`: the service's commands; `audit` is `berth-dns-audit`."""

import sys


def main() -> int:
    """Run the command line."""
    if sys.argv[1:2] == ["audit"]:
        from berth_dns_auditor.command_line import main as audit  # noqa: PLC0415 - without database and bus

        return audit(sys.argv[2:], prog="berth-dns-auditor audit")
    from berth_dns_auditor.bootstrap import SERVICE  # noqa: PLC0415
    from berth_events.runtime.cli import run_command_line  # noqa: PLC0415

    return run_command_line(SERVICE, others=[("audit", "audit domains by hand, without database and bus")])


if __name__ == "__main__":
    sys.exit(main())
