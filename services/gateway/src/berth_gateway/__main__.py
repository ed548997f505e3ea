"""`python -m berth_gateway`, `berth-gateway`."""

import sys

from berth_events.runtime.cli import run_command_line
from berth_gateway.bootstrap import SERVICE


def main() -> int:
    """Run the command line."""
    return run_command_line(SERVICE)


if __name__ == "__main__":
    sys.exit(main())
