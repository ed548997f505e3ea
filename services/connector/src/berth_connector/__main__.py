"""`python -m berth_connector`, `berth-connector`: the service's commands, and `reclassify` and `limits`."""

import sys
from typing import Final

from berth_connector.bootstrap import SERVICE
from berth_connector.cli import reclassify
from berth_connector.politeness.cli import limits
from berth_events.runtime.cli import run_command_line

_OTHERS: Final = (
    ("reclassify", "what this version's table of diagnoses says of the verifications that were made"),
    ("limits", "how much is done at once, and who is left alone"),
)


def main() -> int:
    """Run the command line."""
    if sys.argv[1:2] == ["reclassify"]:
        return reclassify(sys.argv[2:])
    if sys.argv[1:2] == ["limits"]:
        return limits(sys.argv[2:])
    return run_command_line(SERVICE, others=_OTHERS)


if __name__ == "__main__":
    sys.exit(main())
