"""Every row of the table of diagnoses, said by a server over a real socket, leads to its diagnosis."""

import re
from collections.abc import AsyncIterator

import pytest

from berth_connector.diagnosis import TABLE_VERSION, DiagnosisTable, Rule
from berth_testing.corpus import Stage, open_stage, scenes
from berth_testing.corpus.confusion import Outcome, play_all, report
from berth_testing.corpus.scenes import Scene
from berth_testing.providers import PROVIDERS, SOFTWARE, Provider

TABLE = DiagnosisTable.load()
#: What verifications do not do: other protocols, and the steps of a checkup, which has tests of its own.
ELSEWHERE = {"pop3", "gmail_api", "search", "checkup"}


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as stage:
        yield stage


@pytest.fixture(scope="module")
async def outcomes(stage: Stage) -> list[Outcome]:
    return await play_all(stage)


@pytest.mark.parametrize("rule", TABLE.rules, ids=lambda rule: rule.rule_id)
async def test_a_server_that_says_it_leads_to_the_rows_diagnosis(rule: Rule, outcomes: list[Outcome]) -> None:
    code = TABLE.codes[rule.code]
    of_rule = [outcome for outcome in outcomes if outcome.rule.rule_id == rule.rule_id]
    assert of_rule
    for outcome in of_rule:
        found = outcome.diagnosis
        assert found, outcome.place
        assert (found.code, found.rule_id) == (rule.code, rule.rule_id), outcome.place
        assert (found.severity, found.action_by) == (code.severity, code.action_by)
        assert (found.retry_policy, found.meaning, found.remedy) == (rule.retry_policy, rule.meaning, rule.remedy)
        assert found.table_version == TABLE_VERSION
        service = TABLE.providers.get(outcome.place.partition(": ")[2].partition(" ")[0])
        assert service is None or found.help_url == service.page_about(rule.code), outcome.place


async def test_the_confusion_table_has_nothing_off_its_diagonal(outcomes: list[Outcome]) -> None:
    table = report(outcomes)
    assert "; 0 scenes off the diagonal; 0 wrongly called a wrong password" in table, table
    assert len(outcomes) > 400


async def test_only_what_verifications_do_not_do_is_left_to_the_table_alone(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        rule = outcome.rule
        assert (
            outcome.played or ELSEWHERE.intersection((*rule.protocols, *rule.steps)) or rule.rule_id.startswith("own.")
        )


@pytest.mark.parametrize("rule", [rule for rule in TABLE.rules if list(scenes(rule))], ids=lambda rule: rule.rule_id)
async def test_the_servers_own_words_are_quoted(rule: Rule, outcomes: list[Outcome]) -> None:
    said = re.sub(r"^[\d. -]+", "", rule.example.split("…")[0].rpartition("] ")[2]).strip()
    for outcome in outcomes:
        if outcome.rule.rule_id == rule.rule_id and outcome.diagnosis and not said.startswith("+ "):
            assert said in outcome.diagnosis.reply, outcome.place


@pytest.mark.parametrize(("name", "provider"), [*PROVIDERS.items(), *SOFTWARE.items()])
@pytest.mark.parametrize("protocol", ["imap", "smtp"])
@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_every_provider_lets_in_who_has_the_password(
    name: str, provider: Provider, protocol: str, security: str, stage: Stage
) -> None:
    script, host = (provider.imap, provider.imap_host) if protocol == "imap" else (provider.smtp, provider.smtp_host)
    found = await stage.verify(protocol, script, host=host, security=security)  # type: ignore[arg-type]
    assert found.outcome == "connected", (name, found.diagnosis)


async def test_netease_lets_nobody_read_who_has_not_sent_id(stage: Stage) -> None:
    """ID is sent because it is offered; a server that offers it in vain would have turned us away."""
    netease = PROVIDERS["netease"].imap
    found = await stage.verify("imap", netease, host="imap.163.com")
    assert found.outcome == "connected"
    silent = netease.but((r" CAPABILITY$", b"* CAPABILITY IMAP4rev1\r\nTAG OK CAPABILITY completed\r\n"))
    found = await stage.verify("imap", silent, host="imap.163.com")
    assert found.diagnosis
    assert (found.diagnosis.code, found.diagnosis.retry_policy) == ("CLIENT_ID_REQUIRED", "immediate_with_id")


#: What providers say besides the table: of blocked addresses, of maintenance, in other languages.
BESIDES = [
    ("microsoft", "smtp", "greeting", "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP.",
     "ADDRESS_BLOCKED", "wait_hours"),
    ("yahoo", "smtp", "greeting", "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred", "PROVIDER_TEMPORARY",
     "exponential"),
    ("icloud", "smtp", "greeting", "554 5.7.1 [CS01] Mail from IP 192.0.2.1 was rejected", "ADDRESS_BLOCKED", "wait_hours"),
    ("*", "smtp", "greeting", "554 Go away", "UNKNOWN", "bounded"),
    ("fastmail", "imap", "auth_password", "NO [UNAVAILABLE] Server is down for maintenance", "PROVIDER_TEMPORARY",
     "exponential"),
    ("zoho", "imap", "auth_password", "NO [ALERT] Your account has been blocked", "ACCOUNT_LOCKED", "recheck_slow"),
    ("yandex", "smtp", "auth_password", "454 4.7.0 Temporary authentication failure", "PROVIDER_TEMPORARY", "exponential"),
    ("yandex", "imap", "auth_password", "NO Сервис временно недоступен", "PROVIDER_TEMPORARY", "exponential"),
    ("netease", "imap", "auth_password", "NO 系统繁忙", "PROVIDER_TEMPORARY", "exponential"),
    ("google", "imap", "auth_password", "NO [UNAVAILABLE] Temporary System Problem (Failure)", "PROVIDER_TEMPORARY",
     "exponential"),
    ("microsoft", "imap", "auth_password", "BAD Server Unavailable. 15", "PROVIDER_TEMPORARY", "exponential"),
    ("microsoft", "imap", "auth_password", "BAD Rainy day", "UNKNOWN", "never"),
    ("*", "smtp", "noop", "452 4.3.1 Insufficient system storage", "PROVIDER_TEMPORARY", "exponential"),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "protocol", "step", "reply", "code", "policy"), BESIDES)
async def test_what_the_table_does_not_have_is_quoted_or_taken_by_its_codes(
    provider: str, protocol: str, step: str, reply: str, code: str, policy: str, stage: Stage
) -> None:
    scene = Scene(TABLE.rules[0], protocol, step, provider, reply)  # type: ignore[arg-type]
    found = await stage.play(scene)
    assert found
    assert (found.code, found.retry_policy) == (code, policy)
    assert reply.partition(" ")[2] in found.reply
