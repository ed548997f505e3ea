"""`python -m berth_testing.sample_service`."""

import sys

from berth_events.runtime.cli import run_command_line
from berth_testing.sample_service import SERVICE

if __name__ == "__main__":
    sys.exit(run_command_line(SERVICE))
