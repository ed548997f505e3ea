"""`python -m berth_connector`, `berth-connector`: the service's commands, and `reclassify` and `limits`."""

import sys

from berth_connector.bootstrap import SERVICE
from berth_connector.cli import reclassify
from berth_connector.politeness.cli import limits
from berth_events.runtime.cli import run_command_line


def main() -> int:
    """Run the command line."""
    if sys.argv[1:2] == ["reclassify"]:
        return reclassify(sys.argv[2:])
    if sys.argv[1:2] == ["limits"]:
        return limits(sys.argv[2:])
    return run_command_line(SERVICE)


if __name__ == "__main__":
    sys.exit(main())
