"""`make diagnoses`: play every row of the table of diagnoses, and print what was found."""

import asyncio
import logging
import sys

from berth_testing.corpus.confusion import play_all, report
from berth_testing.corpus.stage import open_stage


async def _main() -> int:
    logging.getLogger("uvicorn.error").disabled = True  # requests that are cut short are part of the play
    async with open_stage() as stage:
        outcomes = await play_all(stage)
    print(report(outcomes))
    return int(any(outcome.found != outcome.rule.code for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
