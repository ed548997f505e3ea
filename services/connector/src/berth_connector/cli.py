"""`berth-connector reclassify`: what this version's table of diagnoses says of the verifications that were made."""

import argparse
import asyncio
import random
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from pydantic import ValidationError

from berth_connector.diagnosis import TABLE_VERSION, DiagnosisTable
from berth_connector.history import History, Survey
from berth_connector.settings import ConnectorSettings
from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import open_pool
from berth_events.runtime.migrations import NotMigrated, require_migrated
from berth_events.runtime.store import EventStore
from berth_events.runtime.work import WorkQueue

__all__ = ["reclassify", "run_command"]


def reclassify(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    parser = argparse.ArgumentParser(
        prog="berth-connector reclassify",
        description="Judge the verifications that are kept by this version's table of diagnoses. No server is asked.",
    )
    parser.add_argument(
        "--apply",
        action="store_true",
        help="tell what the last verification of each account means now; else only say it",
    )
    options = parser.parse_args(arguments)
    return run_command(partial(_reclassify, apply=options.apply))


def run_command(work: Callable[[ConnectorSettings], Coroutine[Any, Any, None]]) -> int:
    """Run a command to its end; the exit status: 2 for settings that are wrong, 1 for a database that cannot be used."""
    try:
        settings = ConnectorSettings()
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            print(f"{'_'.join(map(str, fault['loc'])).upper()}: {fault['msg']}", file=sys.stderr)
        return 2
    try:
        asyncio.run(work(settings))
    except NotMigrated as error:
        print(f"{NotMigrated.__doc__} [{error}]", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"A server cannot be reached. Check DATABASE_URL. [{error}]", file=sys.stderr)
        return 1
    return 0


async def _reclassify(settings: ConnectorSettings, *, apply: bool) -> None:
    clock = SystemClock()
    async with await open_pool(settings.database(), application_name="berth-connector-reclassify", max_size=2) as pool:
        async with pool.acquire() as connection:
            await require_migrated(connection, ["berth_connector"])
        history = History(
            pool,
            EventStore("/berth/connector", clock),
            WorkQueue(clock, default_limit=1, lease=timedelta(seconds=settings.lease_seconds)),
            DiagnosisTable.load(),
            clock,
            random.Random(),  # noqa: S311 - jitter is no secret
        )
        survey = await history.survey()
        _print(survey)
        if not apply:
            return
        told = 0
        for account_id, version in survey.standing.items():
            told += await history.correct(account_id, version)
        print(f"told of {told} {'account' if told == 1 else 'accounts'}")


def _print(survey: Survey) -> None:
    print(f"table {TABLE_VERSION}, {survey.verifications} verifications")
    for change, count in sorted(survey.changes.items()):
        print(f"{count:>8}  {change}")
    print(f"{survey.changes.total()} change, and with them where {len(survey.standing)} accounts stand")
