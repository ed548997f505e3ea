"""Generate the published form of the contracts: `python -m berth_events.tools [--check] [--repository DIR]`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from berth_events.tools.schemas import Places, differences, generate, problems


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with --check only compare; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m berth_events.tools", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    parser.add_argument("--repository", type=Path, default=Path(), help="the checkout (default: the working directory)")
    options = parser.parse_args(arguments)
    places = Places.below(options.repository)
    if not places.schemas.parent.is_dir():
        parser.error(f"{options.repository.resolve()} is no checkout of the repository; give --repository")
    found = list(problems(places))
    if options.check:
        found += (f"{difference}; run `make schemas`" for difference in differences(places))
    for problem in found:
        print(problem, file=sys.stderr)
    if found:
        return 1
    if not options.check:
        for file, text in generate(places).items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
