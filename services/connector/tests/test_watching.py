"""Weeks of looks at thousands of accounts, on clocks that stand still: what is said of them in outages and afterwards."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from heapq import heappop, heappush
from random import Random
from uuid import UUID

from structlog.testing import capture_logs

from berth_connector.diagnosis import DiagnosisTable
from berth_connector.lifecycle import Standing, decide
from berth_connector.outages import Outages
from berth_events.contracts import Diagnosis
from berth_testing.clocks import SteppingClock

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
CODES = DiagnosisTable.load().codes
#: Of an account at a time: the code of its diagnosis, or None when it works.
Weather = Callable[[int, timedelta], str | None]


def diagnosed(code: str) -> Diagnosis:
    return Diagnosis(
        code=code,
        rule_id=None,
        table_version="1",
        confidence="none",
        severity="error",
        action_by="nobody",
        meaning="",
        remedy="",
        retry_policy=CODES[code].retry_policy,
        reply="",
    )


class Watching:
    """Accounts of one service that connected within an hour, and connectors that look at them in turn."""

    def __init__(self, accounts: int, weather: Weather, *, replicas: int = 1) -> None:
        self.clock, self.random, self.weather = SteppingClock(), Random(3), weather
        self.start = self.clock.now()
        self.outages = [Outages(self.clock) for _ in range(replicas)]
        self.standings = [Standing(state="connected") for _ in range(accounts)]
        self.due: list[tuple[timedelta, int]] = []
        self.said: list[tuple[timedelta, int, str]] = []
        for account in range(accounts):
            connected = decide(Standing(), None, None, asked_for=True, recheck=DAY, random=self.random)
            assert connected.next_look is not None
            heappush(self.due, (HOUR * self.random.random() + connected.next_look, account))

    def restart(self, replica: int) -> None:
        self.outages[replica] = Outages(self.clock)

    def until(self, end: timedelta) -> None:
        while self.due and self.due[0][0] < end:
            now, account = heappop(self.due)
            self.clock.step((now - (self.clock.now() - self.start)).total_seconds())
            code = self.weather(account, now)
            standing = self.standings[account]
            outage = False
            if standing.state == "connected" or code is None:
                outage = self.random.choice(self.outages).explains("google", UUID(int=account), code)
            decision = decide(
                standing,
                diagnosed(code) if code else None,
                None,
                asked_for=False,
                recheck=DAY,
                random=self.random,
                outage=outage,
            )
            self.standings[account] = decision.standing
            if decision.event.__name__ != "AccountChecked":
                self.said.append((now, account, decision.event.__name__))
            if decision.next_look is not None:
                heappush(self.due, (now + decision.next_look, account))

    def events(self) -> Counter[str]:
        return Counter(event for _, _, event in self.said)


def away(begins: timedelta, ends: timedelta, code: str, broken: int = 0) -> Weather:
    """A service that is away for a while; meanwhile the owners of the first accounts change their passwords."""

    def weather(account: int, now: timedelta) -> str | None:
        if begins <= now < ends:
            return code
        return "AUTH_BAD_CREDENTIALS" if account < broken and now >= begins else None

    return weather


def test_a_provider_that_is_away_for_hours_disconnects_nobody_but_those_who_are_broken_afterwards() -> None:
    for code in ("CONNECT_TIMEOUT", "PROVIDER_TEMPORARY", "TLS_CERT_EXPIRED"):
        watching = Watching(2000, away(30 * HOUR, 36 * HOUR, code, broken=25))
        with capture_logs() as logs:
            watching.until(36 * HOUR)
            assert watching.said == []
            assert [line["event"] for line in logs] == ["outage.noticed"]
            watching.until(40 * HOUR)
        assert [line["event"] for line in logs] == ["outage.noticed", "outage.over"]
        watching.until(70 * HOUR)
        assert watching.events() == {"AccountDisconnected": 25}
        assert {account for _, account, _ in watching.said} == set(range(25))


def test_replicas_that_restart_in_an_outage_disconnect_nobody() -> None:
    watching = Watching(10_000, away(30 * HOUR, 42 * HOUR, "CONNECT_REFUSED"), replicas=4)
    with capture_logs() as logs:
        for hour in range(30, 42):
            watching.until(hour * HOUR)
            watching.restart(hour % 4)
        watching.until(48 * HOUR)
    assert watching.said == []
    assert Counter(line["event"] for line in logs)["outage.noticed"] <= 4 + 12


def test_what_stays_away_is_told_after_a_day_and_once() -> None:
    watching = Watching(500, away(30 * HOUR, 90 * HOUR, "CONNECT_TIMEOUT"))
    watching.until(53 * HOUR)
    assert watching.said == []
    watching.until(90 * HOUR)
    assert watching.events() == {"AccountDisconnected": 500}
    watching.until(120 * HOUR)
    assert watching.events() == {"AccountDisconnected": 500, "AccountReconnected": 500}


def test_a_look_that_fails_now_and_then_is_not_spoken_of() -> None:
    chance = Random(5)
    watching = Watching(300, lambda *_: "CONNECT_TIMEOUT" if chance.random() < 0.05 else None)
    watching.until(14 * DAY)
    assert watching.events()["AccountDisconnected"] <= 1


def test_looks_stay_spread_over_the_day_after_an_import_and_after_an_outage() -> None:
    watching = Watching(2000, away(30 * HOUR, 36 * HOUR, "CONNECT_TIMEOUT"))
    for day in (2, 4):
        watching.until(day * DAY)
        by_hour = Counter(at // HOUR for at, _ in watching.due if at < (day + 1) * DAY)
        assert max(by_hour.values()) < 0.25 * 2000, (day, by_hour)
