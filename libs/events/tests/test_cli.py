"""The command line, run as an operator does, on the sample service."""

import asyncio
import json
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import asyncpg
import pytest

from berth_events.contracts.topics import ACCOUNTS, TOPICS
from berth_events.runtime import cli
from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import connect
from berth_events.runtime.parking import Parking
from berth_events.runtime.postgres_bus import PostgresBus
from berth_events.runtime.service import migrate_service
from berth_testing.postgres import DatabaseFrom
from berth_testing.sample_service import SERVICE
from berth_testing.streams import message, record, resumed


@dataclass
class Operator:
    """Somebody at a terminal."""

    dsn: str
    terminal: pytest.CaptureFixture[str]

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, standard output and standard error."""
        self.terminal.readouterr()
        status = await asyncio.to_thread(cli.run_command_line, SERVICE, arguments)
        out, err = self.terminal.readouterr()
        return status, out, err

    async def park(self, *streams: UUID, consumer: str = "tally_v1", value: bytes | None = None) -> None:
        """Put the first event of each aside."""
        connection = await connect(self.dsn, application_name="test")
        try:
            for offset, stream in enumerate(streams):
                parked = record(resumed(stream), 1, offset)
                parked = parked if value is None else replace(parked, value=value)
                await Parking(SystemClock()).park(connection, consumer, [parked], "ValueError")
        finally:
            await connection.close()

    async def fetch(self, query: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetch(query)
        finally:
            await connection.close()


@pytest.fixture
def operator(database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Operator:
    """At an empty database; the bus is in the same one."""
    return at(database, monkeypatch, capsys)


@pytest.fixture
async def migrated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database_from: DatabaseFrom
) -> Operator:
    """At a migrated database."""
    return at(await database_from("sample", migrate_sample), monkeypatch, capsys)


async def migrate_sample(dsn: str) -> None:
    await migrate_service(SERVICE, dsn)


def at(dsn: str, monkeypatch: pytest.MonkeyPatch, terminal: pytest.CaptureFixture[str]) -> Operator:
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("BUS_URL", dsn)
    monkeypatch.delenv("KAFKA_BOOTSTRAP", raising=False)
    monkeypatch.setattr(cli, "configure_logs", lambda *_: None)
    return Operator(dsn, terminal)


async def test_migrate_says_what_it_applied_and_has_nothing_to_do_the_next_time(operator: Operator) -> None:
    status, out, _ = await operator.run("migrate")
    assert status == 0
    assert [line for line in out.splitlines() if line.startswith("applied ")] == [
        "applied berth_events.runtime/0001_runtime.sql",
        "applied berth_events.runtime/0002_budgets.sql",
        "applied berth_events.runtime/0003_leases.sql",
        "applied berth_testing.sample_service/0001_sample.sql",
    ]
    status, out, _ = await operator.run("migrate")
    assert status == 0
    assert "applied " not in out.replace("applied=", "")
    assert [tuple(row) for row in await operator.fetch("SELECT name, version, state FROM projection")] == [
        ("tally", 1, "active")
    ]


async def test_migrate_is_the_owners(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGRATE_DATABASE_URL", operator.dsn)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    assert (await operator.run("migrate"))[0] == 0


async def test_the_parked_are_listed_one_a_line(migrated: Operator) -> None:
    a, b = uuid4(), uuid4()
    await migrated.park(a, b)
    status, out, _ = await migrated.run("parked", "list")
    assert status == 0
    first, second = [json.loads(line) for line in out.splitlines()]
    assert (first["consumer"], first["topic"], first["key"], first["error"], first["events"]) == (
        "tally_v1",
        ACCOUNTS,
        str(a),
        "ValueError",
        1,
    )
    assert second["key"] == str(b)


async def test_the_events_of_a_parked_key_are_shown(migrated: Operator) -> None:
    a = uuid4()
    await migrated.park(a)
    status, out, _ = await migrated.run("parked", "show", "tally_v1", ACCOUNTS, str(a))
    assert status == 0
    [shown] = [json.loads(line) for line in out.splitlines()]
    assert shown["headers"]["ce_type"] == "AccountResumed"
    assert json.loads(shown["value"])["account_id"] == str(a)


async def test_a_replay_fills_the_tables_of_the_version_it_was_parked_for(migrated: Operator) -> None:
    a, b = uuid4(), uuid4()
    await migrated.park(a, b)
    status, out, _ = await migrated.run("parked", "replay", "tally_v1", ACCOUNTS, str(a))
    assert (status, out) == (0, "replayed 1 event\n")
    assert [row["stream_id"] for row in await migrated.fetch("SELECT * FROM tally")] == [a]
    assert len(await migrated.fetch("SELECT * FROM parked_key")) == 1


async def test_a_discard_drops_them(migrated: Operator) -> None:
    a = uuid4()
    await migrated.park(a)
    status, out, _ = await migrated.run("parked", "discard", "tally_v1", ACCOUNTS, str(a))
    assert (status, out) == (0, "discarded 1 event\n")
    assert await migrated.fetch("SELECT * FROM parked_event") == []
    assert await migrated.fetch("SELECT * FROM tally") == []


@pytest.mark.parametrize("action", ["show", "replay", "discard"])
async def test_what_is_not_parked_is_named(migrated: Operator, action: str) -> None:
    status, out, err = await migrated.run("parked", action, "tally_v1", ACCOUNTS, "nobody")
    assert (status, out) == (1, "")
    assert err == (
        "Nothing is parked under this consumer, topic and key. `parked list` shows what is. "
        f"[tally_v1 {ACCOUNTS} nobody]\n"
    )


@pytest.mark.parametrize("consumer", ["tall", "tally_v", "tally_v1x", "tally-manager"])
async def test_a_consumer_of_a_similar_name_is_another(migrated: Operator, consumer: str) -> None:
    a = uuid4()
    await migrated.park(a, consumer=consumer)
    status, _, err = await migrated.run("parked", "replay", consumer, ACCOUNTS, str(a))
    assert status == 1
    assert f"no consumer {consumer} in sample" in err
    assert len(await migrated.fetch("SELECT * FROM parked_event")) == 1


async def test_a_replay_of_what_is_no_event_says_what_to_do(migrated: Operator) -> None:
    a = uuid4()
    await migrated.park(a, value=b"?")
    status, _, err = await migrated.run("parked", "replay", "tally_v1", ACCOUNTS, str(a))
    assert status == 1
    assert "The record is not a CloudEvent of a Berth topic" in err
    assert len(await migrated.fetch("SELECT * FROM parked_event")) == 1


async def test_a_projection_is_rebuilt_from_the_bus(migrated: Operator) -> None:
    streams = [uuid4() for _ in range(20)]
    settings = SERVICE.settings()
    assert settings.bus_url is not None
    bus = PostgresBus(settings.bus_url.get_secret_value())
    try:
        await bus.create_topics(TOPICS, partitions=2)
        producer = await bus.producer()
        assert all(await producer.publish([message(resumed(stream), 1) for stream in streams]))
    finally:
        await bus.close()
    status, out, _ = await migrated.run("projections", "rebuild", "tally")
    assert (status, out) == (0, "tally: version 2 is active\n")
    assert {row["stream_id"] for row in await migrated.fetch("SELECT * FROM tally")} == set(streams)


@pytest.mark.parametrize(
    "arguments", [("parked", "list"), ("projections", "rebuild", "tally")], ids=lambda names: names[0]
)
async def test_every_command_says_when_the_database_is_not_migrated(
    operator: Operator, arguments: tuple[str, ...]
) -> None:
    status, _, err = await operator.run(*arguments)
    assert status == 1
    assert "Run the service's `migrate` command with the owner's DSN." in err


async def test_settings_that_are_missing_are_named(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("HTTP_PORT", "secret")
    status, _, err = await operator.run("migrate")
    assert status == 2
    assert "DATABASE_URL: Field required" in err
    assert "HTTP_PORT: " in err
    assert "secret" not in err


async def test_without_a_bus_it_says_how_to_name_one(migrated: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BUS_URL")
    status, _, err = await migrated.run("parked", "list")
    assert status == 1
    assert "KAFKA_BOOTSTRAP" in err


async def test_a_server_that_is_not_there_is_no_traceback(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody:secret@127.0.0.1:1/nowhere")
    status, _, err = await operator.run("migrate")
    assert status == 1
    assert err.startswith("A server cannot be reached. Check DATABASE_URL.")
    assert "secret" not in err


def test_the_commands_that_a_service_runs_itself_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.run_command_line(SERVICE, ["--help"], others=[("survey", "count the streams")])
    assert "count the streams" in capsys.readouterr().out
