"""When failures are put down to an outage."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from berth_connector.diagnosis import DiagnosisTable
from berth_connector.lifecycle import OUTAGE_LOOK, SERVER_FAULTS, Standing, decide
from berth_connector.outages import AWAY, Outages
from berth_connector.policies import POLICIES
from berth_events.contracts import AccountChecked, AccountDisconnected, Diagnosis
from berth_testing.clocks import SteppingClock

ACCOUNTS = [uuid4() for _ in range(50)]
HOUR = 3600.0


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def outages(clock: SteppingClock) -> Outages:
    return Outages(clock)


def failing(
    outages: Outages, accounts: Sequence[UUID], code: str | None = "CONNECT_TIMEOUT", at: str = "google"
) -> list[bool]:
    return [outages.explains(at, account, code) for account in accounts]


def test_ten_accounts_that_fail_are_an_outage_with_one_warning(outages: Outages) -> None:
    with capture_logs() as logs:
        assert failing(outages, ACCOUNTS) == [False] * 9 + [True] * 41
    assert [(line["event"], line["log_level"], line["destination"]) for line in logs] == [
        ("outage.noticed", "warning", "google")
    ]


@pytest.mark.parametrize("code", ["AUTH_BAD_CREDENTIALS", "RATE_LIMITED", "ACCOUNT_DISABLED", "UNKNOWN"])
def test_what_a_service_says_of_an_account_is_no_outage(outages: Outages, code: str) -> None:
    assert not any(failing(outages, ACCOUNTS, code))
    failing(outages, ACCOUNTS)
    assert outages.explains("google", ACCOUNTS[0], code) is False


def test_one_account_is_no_outage_however_often_it_fails(outages: Outages) -> None:
    assert not any(failing(outages, ACCOUNTS[:1] * 50))


def test_a_service_that_mostly_works_is_not_away(outages: Outages) -> None:
    for account in ACCOUNTS:
        assert not outages.explains("google", account, "PROVIDER_TEMPORARY")
        outages.explains("google", uuid4(), None)


def test_failures_that_lie_far_apart_are_no_outage(outages: Outages, clock: SteppingClock) -> None:
    for account in ACCOUNTS:
        assert not outages.explains("google", account, "CONNECT_REFUSED")
        clock.step(HOUR / 5)


def test_it_is_over_when_half_of_the_looks_work(outages: Outages) -> None:
    failing(outages, ACCOUNTS[:20])
    with capture_logs() as logs:
        failing(outages, ACCOUNTS[:11], None)
    assert [line["event"] for line in logs] == ["outage.over"]
    assert not outages.explains("google", ACCOUNTS[0], "CONNECT_TIMEOUT")


def test_it_lasts_while_few_accounts_are_looked_at_and_not_for_ever(outages: Outages, clock: SteppingClock) -> None:
    failing(outages, ACCOUNTS[:20])
    clock.step(5 * HOUR)
    assert outages.explains("google", ACCOUNTS[0], "CONNECT_TIMEOUT")
    clock.step(20 * HOUR)
    assert not outages.explains("google", ACCOUNTS[0], "CONNECT_TIMEOUT")


def test_services_are_watched_apart(outages: Outages) -> None:
    failing(outages, ACCOUNTS)
    assert not any(failing(outages, ACCOUNTS[:9], at="microsoft"))


def test_when_ten_services_fail_it_is_our_own_way_that_is_away(outages: Outages) -> None:
    with capture_logs() as logs:
        said = [outages.explains(f"mail{number}.test", uuid4(), "CONNECT_TIMEOUT") for number in range(15)]
    assert said == [False] * 9 + [True] * 6
    assert [line["destination"] for line in logs] == ["*"]


def test_not_without_end_many_are_watched(outages: Outages) -> None:
    for number in range(1500):
        outages.explains(f"mail{number}.test", uuid4(), "CONNECT_TIMEOUT")
    assert len(outages._watched) == 1000


def test_the_codes_exist_and_pass_by_themselves() -> None:
    codes = DiagnosisTable.load().codes
    assert codes.keys() >= AWAY | SERVER_FAULTS
    for code in AWAY - SERVER_FAULTS:
        policy = POLICIES[codes[code].retry_policy]
        assert policy is not None
        assert policy.transient


def failure() -> Diagnosis:
    return Diagnosis(
        code="CONNECT_TIMEOUT",
        rule_id=None,
        table_version="1",
        confidence="none",
        severity="error",
        action_by="nobody",
        meaning="",
        remedy="",
        retry_policy="bounded",
        reply="",
    )


@pytest.mark.parametrize("asked_for", [True, False])
def test_an_account_keeps_its_state_and_its_attempts_unless_somebody_asks(asked_for: bool) -> None:
    standing = Standing(state="connected", retry_policy="bounded", failures=3)
    decision = decide(
        standing,
        failure(),
        None,
        asked_for=asked_for,
        recheck=timedelta(days=1),
        random=Random(1),
        outage=True,
    )
    if asked_for:
        assert (decision.event, decision.standing.state) == (AccountDisconnected, "disconnected")
    else:
        assert (decision.event, decision.standing) == (AccountChecked, standing)
        assert decision.next_look is not None
        assert OUTAGE_LOOK <= decision.next_look <= 2 * OUTAGE_LOOK
