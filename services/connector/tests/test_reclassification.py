"""Stored verifications, judged again: by the same table they stay what they were, by another they become what it says."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from berth_connector.diagnosis import DiagnosisTable, Rule
from berth_connector.reclassification import Parties, reclassified
from berth_events.contracts import Verification
from berth_testing.corpus import Scene, Stage, open_stage, scenes

TABLE = DiagnosisTable.load()
#: Of every row one place for each protocol.
SCENES = {
    (rule.rule_id, scene.protocol): scene
    for rule in TABLE.rules
    for scene in scenes(rule)
    if scene.step not in {"mail_from", "rcpt_to", "data"}
}


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as stage:
        yield stage


@pytest.fixture(scope="module")
async def kept(stage: Stage) -> list[tuple[Scene, Verification]]:
    """What is in the event store after every scene, as it comes back from there."""
    found = [(scene, await stage.verification(scene)) for scene in SCENES.values()]
    return [(scene, Verification.model_validate_json(one.model_dump_json())) for scene, one in found]


def parties(scene: Scene) -> Parties:
    identity = scene.provider if scene.provider == "google" else "microsoft"
    return Parties(imap=scene.speaker.imap_host, smtp=scene.speaker.smtp_host, identity=identity)


def changed(change: Callable[[Rule], Rule | None]) -> DiagnosisTable:
    rules = [new for rule in TABLE.rules if (new := change(rule))]
    return DiagnosisTable(rules, TABLE.codes, TABLE.providers)


async def test_the_same_table_says_the_same_of_every_scene(kept: list[tuple[Scene, Verification]]) -> None:
    assert len(kept) > 150
    for scene, verification in kept:
        assert reclassified(TABLE, verification, parties(scene)) == verification, str(scene)


async def test_a_corrected_row_changes_what_it_is_about_and_nothing_else(
    kept: list[tuple[Scene, Verification]],
) -> None:
    def correct(rule: Rule) -> Rule:
        wrong = rule.rule_id == "google.imap.system_error"
        return replace(rule, code="RATE_LIMITED", retry_policy="honour_hint") if wrong else rule

    table = changed(correct)
    for scene, verification in kept:
        again = reclassified(table, verification, parties(scene))
        if scene.rule.rule_id != "google.imap.system_error":
            assert again == verification, str(scene)
            continue
        assert again.diagnosis
        assert (again.diagnosis.code, again.diagnosis.retry_policy) == ("RATE_LIMITED", "honour_hint")
        assert [step.diagnosis for step in again.steps if step.diagnosis] == [again.diagnosis]
        assert (again.verification_id, again.started_at) == (verification.verification_id, verification.started_at)


async def test_what_a_new_row_knows_is_unknown_no_more(kept: list[tuple[Scene, Verification]]) -> None:
    """The history was made with a table without the row; the reply was quoted, and is judged by the whole table."""
    older = changed(lambda rule: None if rule.rule_id == "zoho.imap.imap_disabled" else rule)
    for scene, verification in kept:
        if scene.rule.rule_id == "zoho.imap.imap_disabled":
            then = reclassified(older, verification, parties(scene))
            assert then.diagnosis
            assert then.diagnosis.rule_id != "zoho.imap.imap_disabled"
            assert then.diagnosis.reply == scene_reply(verification)
            assert reclassified(TABLE, then, parties(scene)) == verification


async def test_history_of_a_table_that_knew_no_words_is_judged_by_them(
    kept: list[tuple[Scene, Verification]],
) -> None:
    older = changed(lambda rule: None if rule.rule_id.startswith("words.") else rule)
    changes = 0
    for scene, verification in kept:
        then = reclassified(older, verification, parties(scene))
        changes += then != verification
        assert reclassified(TABLE, then, parties(scene)) == verification, str(scene)
    assert changes > 30


async def test_what_a_row_said_that_is_gone_is_judged_anew(kept: list[tuple[Scene, Verification]]) -> None:
    renamed = {"zoho.imap.imap_disabled", "google.smtp.app_password_required", "postfix.smtp.too_many_auth"}
    older = changed(lambda rule: replace(rule, rule_id=f"gone.{rule.rule_id}") if rule.rule_id in renamed else rule)
    gone = [(scene, verification) for scene, verification in kept if scene.rule.rule_id in renamed]
    assert len(gone) == len(renamed)
    for scene, verification in gone:
        then = reclassified(older, verification, parties(scene))
        assert then.diagnosis
        assert then.diagnosis.rule_id == f"gone.{scene.rule.rule_id}"
        assert reclassified(TABLE, then, parties(scene)) == verification, str(scene)


def scene_reply(verification: Verification) -> str:
    return verification.diagnosis.reply if verification.diagnosis else ""
