"""`python -m berth_connector`, `berth-connector`."""

import sys

from berth_connector.bootstrap import SERVICE
from berth_events.runtime.cli import run_command_line


def main() -> int:
    """Run the command line."""
    return run_command_line(SERVICE)


if __name__ == "__main__":
    sys.exit(main())
