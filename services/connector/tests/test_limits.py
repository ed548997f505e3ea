"""The limits that are shipped, and the operator's command."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
import pytest

from berth_connector.bootstrap import SERVICE
from berth_connector.origins import SERVICES
from berth_connector.politeness import shipped_rules
from berth_connector.politeness.cli import limits
from berth_connector.politeness.limits import SCOPES, LimitRefused, checked_limit, checked_name, shipped
from berth_connector.politeness.providers import provider_of, providers
from berth_events.runtime.budgets import Limits
from berth_events.runtime.service import migrate_service
from berth_net import Policy
from berth_testing.postgres import DatabaseFrom
from berth_testing.processes import run_module
from berth_vault import generate_key

ORGANIZATION = "01890000-0000-7000-8000-000000000001"
Command = Callable[..., Coroutine[Any, Any, tuple[int, str]]]


def test_what_is_shipped_is_about_something_and_says_why() -> None:
    for (scope, name), one in shipped().items():
        assert checked_name(scope, name) == name
        values = {field: getattr(one.limit, field) for field in ("max_in_flight", "per_minute", "max_refusals")}
        assert checked_limit(scope, values) == one.limit
        assert one.why
    assert {name for scope, name in shipped() if scope == "provider"} == {"*", *SERVICES} <= {"*", *providers()}
    holding = Limits(shipped_rules(Policy()), {})
    for destination in ("google", "oauth:google", "8.8.8.8", "2a00::/64", "mail.test.example"):
        assert holding.of_destination(destination).max_in_flight
    assert holding.of_destination("8.8.8.8").max_refusals == 4


def test_large_hosters_are_one_destination_each() -> None:
    assert provider_of("imap.hostinger.com") == provider_of("smtp.hostinger.com") == "hostinger"
    assert provider_of("imap.gmail.com") == "google"
    assert provider_of("hostinger.com.test.example") is provider_of("nothostinger.com") is provider_of("com") is None
    assert checked_name("provider", "ionos") == "ionos"


@pytest.mark.parametrize(
    ("scope", "name", "canonical"),
    [
        ("provider", "google", "google"),
        ("address", "2001:DB8:1:2::7", "2001:db8:1:2::/64"),
        ("address", "2001:db8:1:2::/64", "2001:db8:1:2::/64"),
        ("host", "Mail.Test.Example.", "mail.test.example"),
        ("organization", ORGANIZATION.upper(), ORGANIZATION),
        ("egress", "nat-1", "nat-1"),
        ("host", "*", "*"),
    ],
)
def test_names_are_brought_to_the_form_that_claims_see(scope: str, name: str, canonical: str) -> None:
    assert checked_name(scope, name) == canonical


@pytest.mark.parametrize(
    ("scope", "name", "field"),
    [
        ("service", "google", "scope"),
        ("provider", "gogle", "name"),
        ("provider", "", "name"),
        ("address", "mail.test.example", "name"),
        ("address", "192.0.2.700", "name"),
        ("host", "127.1", "name"),
        ("organization", "acme", "name"),
        ("egress", "two words", "name"),
        ("egress", "x" * 65, "name"),
    ],
)
def test_a_name_of_nothing_is_refused(scope: str, name: str, field: str) -> None:
    with pytest.raises(LimitRefused) as refused:
        checked_name(scope, name)
    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("scope", "values", "field"),
    [
        ("provider", {}, "max_in_flight"),
        ("provider", {"max_in_flight": -1}, "max_in_flight"),
        ("provider", {"max_in_flight": 10_001}, "max_in_flight"),
        ("host", {"per_minute": 0}, "per_minute"),
        ("address", {"max_refusals": 0}, "max_refusals"),
        ("organization", {"max_in_flight": 1, "per_minute": 5}, "per_minute"),
        ("egress", {"max_refusals": 5}, "max_refusals"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(scope: str, values: dict[str, int], field: str) -> None:
    with pytest.raises(LimitRefused) as refused:
        checked_limit(scope, values)
    assert refused.value.field == field


@pytest.fixture
async def dsn(database_from: DatabaseFrom) -> str:
    async def migrate(dsn: str) -> None:
        await migrate_service(SERVICE, dsn)

    return await database_from("connector", migrate)


@pytest.fixture
def environment(dsn: str) -> dict[str, str]:
    return {
        "DATABASE_URL": dsn,
        "VAULT_DATABASE_URL": dsn,
        "BERTH_VAULT_PRIVATE_KEYS": generate_key().private_text,
    }


@pytest.fixture
def command(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs `berth-connector limits` with arguments; its exit status, and what it says."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    async def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        status = await asyncio.to_thread(limits, arguments)  # it has a loop of its own
        return status, "".join(capsys.readouterr())

    return run


async def test_an_operator_sees_sets_and_resets(command: Command, dsn: str) -> None:
    assert await command("set", "provider", "google", "--max-in-flight", "50") == (0, "set provider google\n")
    await command("set", "provider", "google", "--per-minute", "600")
    await command("set", "address", "192.0.2.7", "--max-refusals", "9")
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        """INSERT INTO work_destination (destination, blocked_until, refused_at, until)
           VALUES ('192.0.2.7', now() + interval '1 minute', ARRAY[now()], now() + interval '1 minute')"""
    )
    status, listed = await command("list")
    lines = {tuple(line.split()[:2]): line.split() for line in listed.splitlines()}
    assert status == 0
    assert lines["provider", "google"] == ["provider", "google", "50", "600", "decided", "here"]
    assert lines["address", "192.0.2.7"][2:] == ["9", "decided", "here"]
    assert lines["organization", "*"][2] == "100"
    assert {scope for scope, _ in lines} >= set(SCOPES) - {"egress"}
    assert "192.0.2.7 from *: turned us away, left alone until" in listed
    assert "refused 1 of 9 sign-ins in 15 minutes" in listed
    assert await command("lift", "192.0.2.7") == (0, "lifted\n")
    assert await command("reset", "provider", "google") == (0, "reset\n")
    assert await command("reset", "provider", "google") == (0, "nothing had been decided\n")
    assert await connection.fetch("SELECT scope, name FROM work_limit") == [("address", "192.0.2.7")]
    assert await connection.fetchval("SELECT count(*) FROM work_destination") == 0
    await connection.close()


async def test_what_is_entered_past_the_command_is_checked_too(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    for row in ("('service', 'google', 5, NULL)", "('egress', '*', 5, 60)", "('provider', 'google', NULL, NULL)"):
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(f"INSERT INTO work_limit (scope, name, max_in_flight, per_minute) VALUES {row}")
    await connection.close()


async def test_it_is_a_command_of_the_service(environment: dict[str, str]) -> None:
    async with run_module("berth_connector", "limits", "list", environment=environment) as running:
        output, _ = await running.communicate()
    assert running.returncode == 0, output
    assert "provider      google" in output.decode()


async def test_what_is_wrong_is_named_and_nothing_is_changed(command: Command, dsn: str) -> None:
    status, said = await command("set", "provider", "gogle", "--max-in-flight", "5")
    assert (status, "name: give one of google, microsoft" in said) == (2, True)
    status, said = await command("set", "organization", ORGANIZATION, "--per-minute", "5")
    assert (status, "per_minute: is for provider, address and host" in said) == (2, True)
    assert (await command("set", "provider", "google"))[0] == 2
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("SELECT count(*) FROM work_limit") == 0
    await connection.close()
