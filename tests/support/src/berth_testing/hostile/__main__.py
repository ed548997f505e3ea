"""`make hostile`: meet RUNS hostile servers (10,000), and print time, memory, descriptors and tasks on the way."""

import asyncio
import logging
import sys

from berth_testing.corpus.stage import open_stage
from berth_testing.hostile.runs import LIMITS, meet
from berth_testing.hostile.servers import HOSTILE


async def _main(runs: int) -> int:
    logging.getLogger("asyncio").disabled = True  # the servers' handshakes fail on purpose
    async with open_stage() as stage:
        figures = []
        async for one in meet(stage, runs, every=max(runs // 10, 1)):
            print(one, flush=True)
            figures.append(one)
    settled = next((one for one in figures if one.runs >= len(HOSTILE)), figures[0])  # each was met once
    last = figures[-1]
    late = last.slowest_s > LIMITS.total + 1
    leaks = last.descriptors > settled.descriptors or last.tasks > settled.tasks
    print(
        f"the deadline is {LIMITS.total:g} s: {'BROKEN' if late else 'kept'}; {'LEAKS' if leaks else 'no leak'}; "
        f"memory {last.resident_mb - settled.resident_mb:+.1f} MB since run {settled.runs:,}"
    )
    return int(late or leaks)


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)))
