"""Replies that no row of the table has as its example get a right diagnosis all the same, or honestly none."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from random import Random

import pytest

from berth_connector.diagnosis import DiagnosisTable, Origin
from berth_connector.policies import POLICIES
from berth_testing.corpus import Scene, Stage, open_stage
from berth_testing.corpus.elsewhere import TRANSPORT, Elsewhere, load_elsewhere

TABLE = DiagnosisTable.load()
ALL = load_elsewhere()
BLAME = "AUTH_BAD_CREDENTIALS"
#: What servers say in words, in one line.
WORDS = [
    one
    for one in ALL
    if one.protocol != "oauth" and one.step not in TRANSPORT and "\n" not in one.reply and "{" not in one.reply
]
#: Policies by which nothing is sent again within a quarter of an hour.
CALM = {name for name, policy in POLICIES.items() if policy is None or policy.first.total_seconds() >= 900}


def test_every_reply_gets_a_right_diagnosis() -> None:
    found = [(one, one.diagnosed(TABLE).code) for one in ALL]
    wrong = [
        f"{one.source}: {one.reply!r}: {code}, not {sorted(one.codes)}" for one, code in found if code not in one.codes
    ]
    assert not wrong, "\n".join(wrong)


def test_nobody_is_wrongly_blamed_for_the_password() -> None:
    """Whoever is known to speak: the words are what they are."""
    blamers = {name for rule in TABLE.rules if rule.code == BLAME for name in rule.providers} - {"*"}
    services = [Origin(service=name) for name in sorted(blamers | {"nobody.example"}) if not name.startswith("sw:")]
    software = [Origin(software=name) for name in sorted(blamers) if name.startswith("sw:")]
    blamed = [
        f"{one.source}: {one.reply!r} by {origin}"
        for one in WORDS
        if BLAME not in one.codes
        for origin in (Origin(), *services, *software)
        if one.diagnosed(TABLE, origin).code == BLAME
    ]
    assert not blamed, "\n".join(blamed)


@pytest.mark.parametrize(
    ("protocol", "frame"),
    [
        ("smtp", "535 5.7.8 Error: authentication failed: {}"),
        ("smtp", "535 5.7.0 Login failed. {}"),
        ("smtp", "535 Incorrect authentication data: {}"),
        ("imap", "NO [AUTHENTICATIONFAILED] Authentication failed. {}"),
        ("imap", "NO Login failed: {}"),
        ("imap", "NO Invalid credentials: {}"),
    ],
)
def test_a_reason_behind_the_refusal_is_heeded(protocol: str, frame: str) -> None:
    """Whatever it is, in whatever language; a word alone is none."""
    others = [one for one in WORDS if one.step == "auth_password" and BLAME not in one.codes]
    texts = {text for one in others if len((text := one.parsed.text).split()) > 1 and not text.startswith("Check your")}
    assert len(texts) > 500
    framed = [replace(others[0], protocol=protocol, reply=frame.format(text)) for text in sorted(texts)]
    for origin in (Origin(), Origin(software="sw:postfix"), Origin(software="sw:cyrus"), Origin(service="zoho")):
        blamed = [one.reply for one in framed if one.diagnosed(TABLE, origin).code == BLAME]
        assert not blamed, (origin, blamed)


def test_who_has_to_act_and_whether_to_try_again_follow() -> None:
    for one in ALL:
        found = one.diagnosed(TABLE)
        assert found.action_by in one.action_by, one
        if found.code == "UNKNOWN":
            assert (found.rule_id, found.reply, found.confidence) == (None, one.reply, "none")
        if one.retry == "no":
            assert found.retry_policy in CALM, one
        if one.retry == "may" and found.code == "PROVIDER_TEMPORARY":
            policy = POLICIES[found.retry_policy]
            assert policy, one
            assert policy.transient, one


@pytest.mark.parametrize("change", [str.upper, str.lower, str.title, "  {}  ".format, "{}.".format])
def test_case_spacing_and_full_stops_make_nobody_guilty(change: Callable[[str], str]) -> None:
    for one in WORDS:
        changed = replace(one, reply=change(one.reply))
        assert changed.diagnosed(TABLE).code != BLAME or BLAME in one.codes, changed


def test_none_is_an_example_of_the_table_and_none_is_there_twice() -> None:
    examples = {rule.example for rule in TABLE.rules}
    assert not [one.reply for one in ALL if one.reply in examples]
    assert len({(one.speaker, one.protocol, one.step, one.reply) for one in ALL}) == len(ALL) > 1200


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as stage:
        yield stage


def sample() -> list[Elsewhere]:
    """Of every diagnosis three replies, chosen at random but always the same."""
    by_code: dict[str, list[Elsewhere]] = {}
    for one in Random(5).sample(WORDS, len(WORDS)):
        by_code.setdefault(one.diagnosed(TABLE).code, []).append(one)
    return [one for same in by_code.values() for one in same[:3]]


async def test_over_a_socket_they_get_the_same(stage: Stage) -> None:
    chosen = sample()
    assert len(chosen) > 70
    for one in chosen:
        scene = Scene(TABLE.rules[0], one.protocol, one.step, one.speaker or "*", one.reply)  # type: ignore[arg-type]
        found = await stage.play(scene)
        assert found, one
        assert found.code in one.codes, (one, found)
        assert " ".join(one.reply.split()).rpartition("] ")[2].partition(" ")[2][:60] in found.reply, (one, found)
