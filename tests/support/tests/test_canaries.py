"""The search finds a canary in every form, and nothing else."""

import base64
import html
import json
import logging
import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlencode
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_events.contracts import AccountSuspended, Envelope, to_binary
from berth_events.runtime.bus import Message
from berth_events.runtime.postgres_bus import PostgresBus
from berth_testing.canaries import Canaries
from berth_vault import Binding, Credential, Sealer, VaultWriter, generate_key, schema_sql

#: What a program may do to a secret before it gets it into some text.
FORMS = {
    "plain": lambda secret: secret.encode(),
    "upper case": lambda secret: secret.upper().encode(),
    "JSON": lambda secret: json.dumps({"error": secret}).encode(),
    "JSON, not ASCII": lambda secret: json.dumps(secret, ensure_ascii=False).encode(),
    "repr": lambda secret: repr([secret]).encode(),
    "repr of bytes": lambda secret: repr(secret.encode()).encode(),
    "IMAP quoted": lambda secret: b'LOGIN alice "%s"' % secret.replace("\\", "\\\\").replace('"', '\\"').encode(),
    "SASL PLAIN": lambda secret: b"AUTH PLAIN " + base64.b64encode(b"\0alice\0" + secret.encode()),
    "AUTH LOGIN": lambda secret: base64.b64encode(secret.encode()),
    "base64url": lambda secret: base64.urlsafe_b64encode(b"x" + secret.encode() + b"y"),
    "base64, broken into lines": lambda secret: base64.encodebytes(b"before" * 11 + secret.encode() + b"behind" * 20),
    "base64 in a URL": lambda secret: quote(base64.b64encode(secret.encode()), safe="").encode(),
    "URL": lambda secret: quote(secret, safe="").encode(),
    "form": lambda secret: urlencode({"client_secret": secret, "scope": "x"}).encode(),
    "HTML": lambda secret: html.escape(f"<p>{secret}</p>").encode(),
    "hexadecimal": lambda secret: secret.encode().hex().upper().encode(),
    "UTF-16": lambda secret: secret.encode("utf-16"),
}
CUT = {
    "first half": lambda secret: secret[: len(secret) // 2].encode(),
    "second half": lambda secret: secret[-(len(secret) // 2) :].encode(),
    "JSON in JSON": lambda secret: json.dumps({"body": json.dumps({"password": secret})}).encode(),
}


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


@pytest.mark.parametrize("form", [*FORMS, *CUT])
def test_a_planted_secret_is_found_in_every_form(canaries: Canaries, form: str) -> None:
    canaries.plant("another")
    secret = canaries.plant("imap password")
    content = b"some text " + (FORMS | CUT)[form](secret) + b" more text"
    (leak,) = canaries.in_text("here", content)
    assert (leak.canary, leak.where) == ("imap password", "here")
    assert "***" in leak.around


@given(
    secret=st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=8, max_size=40),
    form=st.sampled_from([form for form in FORMS if form != "upper case"]),
    before=st.binary(max_size=20),
)
def test_any_secret_is_found_in_every_form(secret: str, form: str, before: bytes) -> None:
    canaries = Canaries()
    canaries.add("given", secret)
    assert [leak.canary for leak in canaries.in_text("here", before + FORMS[form](secret))] == ["given"]


@given(
    before=st.binary(max_size=20), behind=st.binary(max_size=20), secret=st.text("abcXYZ019", min_size=8, max_size=30)
)
def test_base64_is_found_at_each_alignment(before: bytes, behind: bytes, secret: str) -> None:
    canaries = Canaries()
    canaries.add("given", secret)
    assert canaries.in_text("here", base64.b64encode(before + secret.encode() + behind))


@given(content=st.binary(max_size=300) | st.text(max_size=300))
def test_nothing_is_found_where_nothing_is(content: bytes | str) -> None:
    canaries = Canaries()
    canaries.plant("planted")
    canaries.add("given", "correct horse battery staple")
    assert canaries.in_text("here", content) == []
    assert canaries.leaks == []
    assert canaries.searched["texts"] == 1


def test_every_line_of_a_key_is_found(canaries: Canaries) -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n"
    canaries.add("key", key)
    assert canaries.in_text("log", "refused: hkiG9w0BAQEFAASC")
    assert canaries.in_text("log", json.dumps({"private_key": key}))
    assert not canaries.in_text("log", "-----BEGIN PRIVATE KEY-----")


def test_a_secret_that_chance_would_find_is_refused(canaries: Canaries) -> None:
    with pytest.raises(ValueError, match="at least 8 characters"):
        canaries.add("short", "1234567")


def test_what_is_reported_masks_the_secret(canaries: Canaries) -> None:
    secret = canaries.plant("planted", between="")
    (leak,) = canaries.in_text("log", f"password={secret} for alice")
    assert leak.around == "password=****** for alice"


def test_files_and_folders_are_searched(canaries: Canaries, tmp_path: Path) -> None:
    secret = canaries.plant("planted")
    (tmp_path / "logs" / "deep").mkdir(parents=True)
    (tmp_path / "logs" / "clean.log").write_text("nothing here")
    (tmp_path / "logs" / "deep" / "debug.log").write_bytes(b"\xff\0" + FORMS["SASL PLAIN"](secret))
    (tmp_path / "single").write_text(secret)
    found = canaries.in_files([tmp_path / "logs", tmp_path / "single"])
    assert [Path(leak.where).name for leak in found] == ["debug.log", "single"]
    assert (canaries.searched["files"], canaries.leaks) == (3, found)


async def test_every_column_of_every_table_is_searched(canaries: Canaries, database: str) -> None:
    secret = canaries.plant("planted")
    connection = await asyncpg.connect(database)
    await connection.execute(
        """CREATE TABLE clean (i int, t text, j jsonb); INSERT INTO clean VALUES (1, 'x', '{}'), (2, NULL, NULL);
           CREATE SCHEMA "Odd name";
           CREATE TABLE "Odd name"."A ""table"" here" ("a column" text, j jsonb, b bytea, list text[]);
           CREATE TABLE parts (i int, t text) PARTITION BY RANGE (i);
           CREATE TABLE part_one PARTITION OF parts FOR VALUES FROM (0) TO (10);
           CREATE MATERIALIZED VIEW seen AS SELECT 1 AS one, 'x' AS t"""
    )
    try:
        assert await canaries.in_database(database) == []
        assert canaries.searched["cells"] == 3 + 1 + 2
        table = '"Odd name"."A ""table"" here"'
        for column, value in {
            "a column": secret,
            "j": json.dumps({"deep": [{"password": secret}]}),
            "b": FORMS["SASL PLAIN"](secret),
            "list": ["x", secret],
        }.items():
            await connection.execute(f"DELETE FROM {table}; INSERT INTO parts VALUES (1, NULL)")
            await connection.execute(f'INSERT INTO {table} ("{column}") VALUES ($1)', value)
            assert [leak.where for leak in await canaries.in_database(database)] == [f"{table}.{column}"]
        await connection.execute(f"DELETE FROM {table}")
        await connection.execute("INSERT INTO parts VALUES (2, $1)", secret)
        assert [leak.where for leak in await canaries.in_database(database)] == ["public.part_one.t"]
    finally:
        await connection.close()


async def test_what_is_sealed_is_not_found(canaries: Canaries, database: str) -> None:
    secret = canaries.plant("planted")
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(schema_sql())
        binding = Binding(organization_id=uuid4(), owner_id=uuid4(), credential_id=uuid4(), version=1)
        writer = VaultWriter(Sealer.from_text(generate_key("k1").public_text))
        await writer.insert(connection, binding, Credential({"imap_password": secret}))
        assert await canaries.in_database(database) == []
        assert canaries.searched["cells"] == 7
    finally:
        await connection.close()


async def test_every_record_of_every_topic_is_searched(canaries: Canaries, database: str) -> None:
    secret = canaries.plant("planted")
    bus = PostgresBus(database)
    topics = ["berth.accounts.v1", "berth.domains.v1"]
    try:
        await bus.create_topics([*topics, "berth.empty.v1"], partitions=3)
        assert await canaries.in_topics(bus, topics) == []
        producer = await bus.producer()
        messages = [
            Message(topics[number % 2], str(uuid4()).encode(), b"{}", (("ce_type", b"X"),)) for number in range(40)
        ]
        assert all(await producer.publish(messages))
        assert await canaries.in_topics(bus, [*topics, "berth.empty.v1"]) == []
        assert canaries.searched["records"] == 40
        event = AccountSuspended(account_id=uuid4(), organization_id=uuid4(), project_id=uuid4(), reason=secret)
        headers, value = to_binary(
            Envelope(event_id=uuid4(), source="/berth/gateway", sequence=1, time=datetime.now(UTC), data=event)
        )
        leaks = [
            Message(topics[0], b"in the value", value, headers),
            Message(topics[1], b"in a header", b"{}", (("authorization", secret.encode()),)),
            Message(topics[1], b"in the key " + secret.encode(), b"{}"),
        ]
        assert all(await producer.publish(leaks))
        await producer.close()
        found = await canaries.in_topics(bus, topics)
        assert len(found) == 3
        assert all(re.fullmatch(r"berth\.(accounts|domains)\.v1/\d@\d+", leak.where) for leak in found)
    finally:
        await bus.close()


def test_it_can_search_what_pytest_captured(canaries: Canaries, caplog: pytest.LogCaptureFixture) -> None:
    secret = canaries.plant("planted")
    caplog.set_level(logging.DEBUG)
    logging.getLogger("test").debug("sent %r", {"password": secret})
    assert canaries.in_text("log", caplog.text)
