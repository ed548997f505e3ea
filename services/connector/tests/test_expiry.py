"""Secrets that end: warned of 30, 14, 7 and 1 days before, each once."""

from datetime import timedelta
from typing import Any

import pytest

from berth_connector.workspaces.requests import WARNED_DAYS, first_warning
from berth_events.contracts import EmailWorkspaceRemoved, EmailWorkspaceUpdated, WorkspaceSecretExpiring
from berth_testing.clocks import NOON

DAY = timedelta(days=1)


async def pass_days(bench: Any, days: int) -> list[int]:
    """Let days pass, an hour at a time near midnight; the warnings that were said, by the days that were left."""
    before = await warnings(bench)
    for _ in range(days):
        bench.clock.step(86400)
        await bench.settle()
    return (await warnings(bench))[len(before) :]


async def warnings(bench: Any) -> list[int]:
    return [event.days_left for event in await bench.events() if isinstance(event, WorkspaceSecretExpiring)]


async def test_a_secret_is_warned_of_four_times(bench: Any) -> None:
    expires_at = bench.clock.now() + 40 * DAY
    await bench.create(bench.microsoft(), secret_expires_at=expires_at)
    await bench.settle()
    assert await pass_days(bench, 9) == []
    assert await pass_days(bench, 1) == [30]
    assert await pass_days(bench, 16) == [14]
    bench.restart()
    assert await pass_days(bench, 7) == [7]
    assert await pass_days(bench, 6) == [1]
    assert await pass_days(bench, 30) == []
    warned = [event for event in await bench.events() if isinstance(event, WorkspaceSecretExpiring)]
    assert {event.expires_at for event in warned} == {expires_at}


async def test_a_secret_that_ends_soon_is_warned_of_at_once(bench: Any) -> None:
    await bench.create(bench.microsoft(), secret_expires_at=bench.clock.now() + 10 * DAY)
    await bench.settle()
    assert await warnings(bench) == [10]
    assert await pass_days(bench, 20) == [7, 1]


async def test_after_a_long_silence_one_warning_is_enough(bench: Any) -> None:
    await bench.create(bench.microsoft(), secret_expires_at=bench.clock.now() + 40 * DAY)
    await bench.settle()
    bench.clock.step(35 * 86400)
    await bench.settle()
    assert await warnings(bench) == [5]
    assert await pass_days(bench, 10) == [1]


async def test_another_secret_has_warnings_of_its_own(bench: Any) -> None:
    await bench.create(bench.microsoft(), secret_expires_at=bench.clock.now() + 20 * DAY)
    await bench.settle()
    assert await warnings(bench) == [20]
    bench.application.secrets["new"] = float("inf")
    await bench.replace("new", secret_expires_at=bench.clock.now() + 100 * DAY)
    assert await pass_days(bench, 60) == []
    assert await pass_days(bench, 10) == [30]
    bench.application.secrets["third"] = float("inf")
    await bench.replace("third", 3)  # nobody says when it ends
    assert await pass_days(bench, 60) == []


async def test_a_corrected_day_counts_and_a_repeated_one_changes_nothing(bench: Any) -> None:
    await bench.create(bench.microsoft(), secret_expires_at=bench.clock.now() + 25 * DAY)
    await bench.settle()
    assert await warnings(bench) == [25]
    corrected = bench.clock.now() + 31 * DAY
    for _ in range(2):
        await bench.take(EmailWorkspaceUpdated(**bench.ids, secret_expires_at=corrected))
        assert await pass_days(bench, 1) in ([30], [])
    await bench.take(EmailWorkspaceUpdated(**bench.ids, name="Acme Inc."))
    assert await pass_days(bench, 40) == [14, 7, 1]
    assert await warnings(bench) == [25, 30, 14, 7, 1]


async def test_a_removed_workspace_is_not_warned_of(bench: Any) -> None:
    await bench.create(bench.microsoft(), secret_expires_at=bench.clock.now() + 40 * DAY)
    await bench.settle()
    await bench.take(EmailWorkspaceRemoved(**bench.ids))
    assert await pass_days(bench, 60) == []


@pytest.mark.parametrize(
    ("left", "first"), [(100, 30), (30, 30), (29, 30), (14, 14), (10, 14), (7, 7), (3, 7), (1, 1), (-5, 1)]
)
def test_with_which_warning_to_begin(left: int, first: int) -> None:
    assert first in WARNED_DAYS
    assert first_warning(NOON + left * DAY, NOON) == first
