"""Replies that are no replies: whatever a server says is diagnosed at once, quoted in part, and gives no secret away."""

import asyncio
import re
from datetime import timedelta
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_connector.diagnosis import DiagnosisTable, Origin, parse_reply
from berth_connector.probe.faults import Fault
from berth_connector.probe.steplog import StepLog, Stopped
from berth_connector.redaction import Redactor
from berth_events.contracts import Diagnosis
from berth_testing.clocks import SteppingClock

TABLE = DiagnosisTable.load()
PROTOCOLS = ("imap", "smtp", "oauth", "pop3", "gmail_api")
STEPS = ("greeting", "tls", "auth_password", "auth_oauth", "select", "data", "token")
ORIGINS = (Origin(), Origin(service="google"), Origin(service="microsoft"), Origin(software="sw:postfix"))
LEADS = (
    "",
    "NO ",
    "* BYE [",
    "NO [AUTHENTICATIONFAILED] ",
    "+ ",
    "535 5.7.8 ",
    "535-",
    "334 ",
    "421 4.7.0 ",
    '{"error":',
)
#: What breaks those who format, match or decode it.
NASTY = (
    "%s%n%x",
    "{0}{a!r}",
    "$1\\1\\g<0>",
    "(?:(a+)+)+$",
    "[[[[",
    "\x00\x1b[31m",
    "\u202e\ud800",
    "=?utf-8?q?",
    "\r\n.\r\n",
)
GARBAGE = st.one_of(
    st.text(max_size=400),
    st.binary(max_size=400).map(lambda raw: raw.decode("utf-8", "replace")),
    st.lists(st.sampled_from([*NASTY, "authentication", " failed: ", "password", "\n535 "]), max_size=60).map("".join),
    st.builds(lambda text, times: text * times, st.text(min_size=1, max_size=20), st.integers(1, 4000)),
)
#: Seconds of CPU that a diagnosis may take. It takes less than 5 ms; the rest is for machines that are slow and busy.
BUDGET_S = 0.025


@given(protocol=st.sampled_from(PROTOCOLS), step=st.sampled_from(STEPS), lead=st.sampled_from(LEADS), garbage=GARBAGE)
def test_garbage_gets_a_diagnosis_with_a_short_quote(protocol: str, step: str, lead: str, garbage: str) -> None:
    raw = lead + garbage
    for origin in ORIGINS:
        found = TABLE.diagnose(protocol, step, [parse_reply(protocol, raw)], origin, raw).diagnosis
        assert found.code in TABLE.codes
        assert len(found.reply) <= 1000
        assert Diagnosis.model_validate_json(found.model_dump_json()).code == found.code


FLOODS = {
    "letters": "NO " + "a" * 64_000,
    "digits": "NO x " + "1" * 64_000,
    "blanks": "NO " + " " * 64_000,
    "lines": "535-x\n" * 12_000,
    "empty lines": "\n" * 64_000,
    "brackets": "NO " + "[" * 64_000,
    "sessions": "NO " + " sc=a" * 12_000,
    "hosts": "NO " + "[a.outlook.com " * 5000,
    "base64": "+ " + "A" * 64_000,
    "nested": "[" * 64_000,
    "nasty": "535 " + "".join(NASTY) * 1000,
    "sign-ins": "535 5.7.8 " + "login error: " * 5000,
    "users": "535 " + "user " * 13_000,
    "addresses": "554 " + "1.2.3.4 your ip " * 4000,
    "many": "535 " + "too many " * 7000,
    "letters of everybody": "NO " + "".join(map(chr, range(32, 0xD7FF))),
}


def fastest(protocol: str, step: str, raw: str) -> float:
    """The least of three runs, in seconds of CPU."""
    runs = []
    for _ in range(3):
        started = process_time()
        TABLE.diagnose(protocol, step, [parse_reply(protocol, raw)], Origin(), "")
        runs.append(process_time() - started)
    return min(runs)


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize(
    ("protocol", "step"), [("imap", "auth_password"), ("imap", "select"), ("smtp", "auth_password"), ("smtp", "data"),
                           ("oauth", "token")],
)  # fmt: skip
def test_a_flood_costs_no_more_than_its_beginning(protocol: str, step: str, flood: str) -> None:
    assert fastest(protocol, step, FLOODS[flood]) < BUDGET_S


def test_no_pattern_runs_away() -> None:
    """Each against long texts of the very words that it looks for, which is where backtracking would show."""
    patterns = {rule.pattern for rule in TABLE.rules if rule.pattern}
    assert len(patterns) > 150
    for pattern in patterns:
        words = sorted(set(re.findall(r"[a-z]{3,}", pattern.pattern)))
        for text in (" ".join(words[at : at + 3] * 200)[:600] for at in range(0, len(words), 3)):
            started = process_time()
            pattern.search(text)
            assert process_time() - started < BUDGET_S, (pattern.pattern[:80], text[:80])


@given(garbage=GARBAGE, lead=st.sampled_from(LEADS), protocol=st.sampled_from(["imap", "smtp"]))
def test_a_secret_in_garbage_is_not_quoted(garbage: str, lead: str, protocol: str) -> None:
    secret = "hunter2-Zx9.Qw"
    raw = f"{lead}{garbage[:200]}{secret}{garbage[200:600]} {secret.upper()}"

    async def diagnosed() -> Diagnosis:
        clock = SteppingClock()
        deadline = asyncio.get_running_loop().time() + timedelta(seconds=5).total_seconds()
        log = StepLog(protocol, ["authenticate"], TABLE, Redactor([secret]), clock, deadline)  # type: ignore[arg-type]
        with pytest.raises(Stopped) as stopped:
            async with log.step("authenticate", 5, table_step="auth_password"):
                raise Fault.refused(protocol, "The server refused the sign-in.", raw)
        return stopped.value.finding.diagnosis

    with asyncio.Runner() as runner:
        found = runner.run(diagnosed())
    assert secret not in found.model_dump_json()
    assert secret.upper() not in found.model_dump_json()
