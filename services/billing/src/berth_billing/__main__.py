"""`python -m berth_billing`, `berth-billing`."""

import sys

from berth_billing.bootstrap import SERVICE
from berth_events.runtime.cli import run_command_line


def main() -> int:
    """Run the command line."""
    return run_command_line(SERVICE)


if __name__ == "__main__":
    sys.exit(main())
