"""The table of diagnoses: every row leads to its code, and what no row knows is quoted, not guessed at."""

import hashlib
from datetime import timedelta
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_connector.diagnosis import TABLE_VERSION, DiagnosisTable, Origin, Reply, Rule, parse_reply

TABLE = DiagnosisTable.load()
PROTOCOLS = ("imap", "smtp", "oauth", "pop3", "gmail_api")
#: What the table's group names stand for, and one step for a row about any.
STEPS = {"auth": ("auth_password", "auth_oauth"), "*": ("noop",)}


def contexts(rule: Rule) -> list[tuple[str, str, Origin]]:
    """Every protocol, step and origin that a row is about."""
    protocols = PROTOCOLS[:2] if "*" in rule.protocols else rule.protocols
    steps = [step for name in rule.steps for step in STEPS.get(name, (name,))]
    origins = [
        Origin() if name == "*" else Origin(software=name) if name.startswith("sw:") else Origin(service=name)
        for name in rule.providers
    ]
    return [(protocol, step, origin) for protocol in protocols for step in steps for origin in origins]


@pytest.mark.parametrize("rule", [rule for rule in TABLE.rules if rule.example], ids=lambda rule: rule.rule_id)
def test_every_example_leads_to_its_rows_code(rule: Rule) -> None:
    for protocol, step, origin in contexts(rule):
        raw = (
            rule.example.replace("+ ", "334 ", 1) if protocol == "smtp" else rule.example
        )  # a challenge, as IMAP has it
        found = TABLE.diagnose(protocol, step, [parse_reply(protocol, raw)], origin, raw)
        assert found.diagnosis.code == rule.code, (protocol, step, origin, found.diagnosis.rule_id)


@pytest.mark.parametrize("rule", [rule for rule in TABLE.rules if not rule.pattern], ids=lambda rule: rule.rule_id)
def test_every_row_without_a_text_is_led_to_by_its_tokens(rule: Rule) -> None:
    for protocol, step, origin in contexts(rule):
        for tokens in rule.codes:
            best = TABLE.matches(protocol, step, Reply(tokens, ""), origin)[0]
            assert best.rule.code == rule.code, (protocol, step, origin, best.rule.rule_id)


@pytest.mark.parametrize(
    ("protocol", "step", "raw", "origin", "code", "confidence"),
    [
        ("imap", "auth_password", "A1 NO [AUTHENTICATIONFAILED] Authentication failed.", Origin(software="sw:dovecot"),
         "AUTH_BAD_CREDENTIALS", "high"),
        ("imap", "auth_password", "a1 no [authenticationfailed] authentication failed.", Origin(),
         "AUTH_BAD_CREDENTIALS", "medium"),
        ("imap", "auth_password", "NO [AUTHENTICATIONFAILED] Nope", Origin(), "AUTH_BAD_CREDENTIALS", "low"),
        ("imap", "auth_password", "NO [AUTHENTICATIONFAILED] Authentication failed", Origin(service="icloud"),
         "AUTH_APP_PASSWORD_REQUIRED", "high"),
        ("imap", "auth_password", "NO LOGIN failed.", Origin(service="microsoft"), "AUTH_BASIC_DISABLED", "high"),
        ("imap", "auth_password", "NO LOGIN failed.", Origin(software="sw:exchange"), "AUTH_BAD_CREDENTIALS", "high"),
        ("imap", "auth_oauth", "NO AUTHENTICATE failed.", Origin(service="microsoft"), "OAUTH_TOKEN_REJECTED", "high"),
        ("imap", "auth_password", "NO [UNAVAILABLE] Temporary authentication failure. [mx1:2026-11-21 10:00:00]", Origin(),
         "PROVIDER_TEMPORARY", "medium"),
        ("imap", "auth_password", "NO [CONTACTADMIN] Moved to another server", Origin(), "ACCOUNT_DISABLED", "low"),
        ("imap", "auth_password", "NO [EXPIRED] x", Origin(), "PASSWORD_EXPIRED", "low"),
        ("imap", "auth_password", "* BYE Account locked", Origin(), "ACCOUNT_LOCKED", "medium"),
        ("imap", "auth_password", "* BYE Sayonara", Origin(), "AUTH_AMBIGUOUS", "low"),
        ("imap", "auth_password", "NO Login failed: authentication failure", Origin(), "AUTH_BAD_CREDENTIALS", "medium"),
        ("imap", "select", "A4 NO Mailbox is broken", Origin(), "MAILBOX_NOT_REACHABLE", "low"),
        ("smtp", "auth_password", "535 5.7.8 Error: authentication failed: (reason unavailable)", Origin(),
         "AUTH_BAD_CREDENTIALS", "medium"),
        ("smtp", "auth_password", "535-5.7.8 Username and Password not accepted.\n535 5.7.8  ?p=BadCredentials a1 - gsmtp",
         Origin(service="google"),
         "AUTH_BAD_CREDENTIALS", "high"),
        ("smtp", "auth_password", "535 Incorrect authentication data", Origin(), "AUTH_BAD_CREDENTIALS", "medium"),
        ("smtp", "auth_password", "454 4.7.0 Temporary authentication failure", Origin(), "PROVIDER_TEMPORARY", "medium"),
        ("smtp", "auth_password", "525 5.7.13 Gone fishing", Origin(), "ACCOUNT_DISABLED", "low"),
        ("smtp", "greeting", "421 mx1 Error: too many connections from 192.0.2.1", Origin(), "CONNECTION_LIMIT", "medium"),
        ("smtp", "greeting", "421 mx1 Error: too many snails", Origin(), "PROVIDER_TEMPORARY", "low"),
        ("smtp", "greeting", "554 No SMTP service here", Origin(), "UNKNOWN", "none"),
    ],
)  # fmt: skip
def test_replies_of_real_servers(
    protocol: str, step: str, raw: str, origin: Origin, code: str, confidence: str
) -> None:
    found = TABLE.diagnose(protocol, step, [parse_reply(protocol, raw.removeprefix("* "))], origin, raw).diagnosis
    assert (found.code, found.confidence) == (code, confidence)
    assert found.table_version == TABLE_VERSION


@pytest.mark.parametrize(
    ("protocol", "raw", "policy"),
    [("imap", "NO Computer says no", "never"), ("smtp", "550 Computer says no", "never"),
     ("imap", "BAD what", "never"), ("smtp", "440 Computer is tired", "bounded")],
)  # fmt: skip
def test_an_unknown_refusal_of_a_credential_is_quoted_and_not_repeated(protocol: str, raw: str, policy: str) -> None:
    found = TABLE.diagnose(protocol, "auth_password", [parse_reply(protocol, raw)], Origin(), raw).diagnosis
    assert (found.code, found.rule_id, found.reply, found.retry_policy) == ("UNKNOWN", None, raw, policy)


def test_a_wait_in_the_reply_is_read() -> None:
    raw = "BAD Request is throttled. Suggested Backoff Time: 178755 milliseconds"
    found = TABLE.diagnose("imap", "select", [parse_reply("imap", raw)], Origin(service="microsoft"), raw)
    assert (found.diagnosis.code, found.wait) == ("RATE_LIMITED", timedelta(seconds=178.755))


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("Too many login attempts, try again in 10 minutes", timedelta(minutes=10)),
        ("Too many failed logins. Please wait 3 hours.", timedelta(hours=3)),
        ("Authentication was rate limited. Check again in 120 seconds", timedelta(seconds=120)),
        ("Request is throttled. Suggested Backoff Time: 178755 milliseconds", timedelta(seconds=178.755)),
        ("Too many login attempts", None),
        ("Too many login attempts, try again in 999999 hours", timedelta(days=1)),
        (f"Request is throttled. Suggested Backoff Time: {10**30} milliseconds", timedelta(days=1)),
        ("Temporary server error, try again in 10 minutes", None),  # its policy has waits of its own
    ],
)
def test_a_wait_in_words_is_read_and_bounded(text: str, wait: timedelta | None) -> None:
    reply = parse_reply("imap", f"BAD {text}")
    assert TABLE.diagnose("imap", "auth_password", [reply], Origin(service="microsoft"), text).wait == wait


def test_the_tagged_reply_wins_over_untagged_ones() -> None:
    replies = [parse_reply("imap", raw) for raw in ("A1 NO [AUTHENTICATIONFAILED] no", "BYE [UNAVAILABLE] later")]
    assert TABLE.diagnose("imap", "auth_password", replies, Origin(), "").diagnosis.code == "AUTH_BAD_CREDENTIALS"
    replies[0] = parse_reply("imap", "A1 NO hm")
    assert TABLE.diagnose("imap", "auth_password", replies, Origin(), "").diagnosis.code == "PROVIDER_TEMPORARY"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("535 5.7.8 Error: authentication failed: wrong password", "AUTH_BAD_CREDENTIALS"),
        ("535 5.7.8 Error: authentication failed: wrong password, account locked", "ACCOUNT_LOCKED"),
        ("535 5.7.8 Error: authentication failed: wrong password or quota exceeded", "AUTH_AMBIGUOUS"),
        ("535 5.7.8 Error: authentication failed: the moon is full", "UNKNOWN"),
        ("535 5.7.8 The moon is full", "UNKNOWN"),
        ("535 5.7.8", "AUTH_BAD_CREDENTIALS"),
    ],
)
def test_a_password_is_blamed_only_when_nothing_says_otherwise(raw: str, code: str) -> None:
    for origin in (Origin(), Origin(software="sw:postfix"), Origin(service="zoho")):
        assert TABLE.diagnose("smtp", "auth_password", [parse_reply("smtp", raw)], origin, raw).diagnosis.code == code


def test_of_several_causes_in_words_the_first_of_the_file_counts() -> None:
    """So that what rules further attempts out comes before what lets them pass."""
    raw = "NO Service temporarily unavailable: mailbox suspended"
    found = TABLE.diagnose("imap", "auth_password", [parse_reply("imap", raw)], Origin(), raw).diagnosis
    assert (found.code, found.confidence) == ("ACCOUNT_DISABLED", "medium")


def test_a_quote_is_at_most_a_thousand_characters() -> None:
    assert len(TABLE.diagnose("imap", "select", [Reply.of([])], Origin(), "x" * 5000).diagnosis.reply) == 1000


@given(protocol=st.sampled_from(PROTOCOLS), raw=st.text(max_size=300))
def test_any_reply_can_be_parsed_and_diagnosed(protocol: str, raw: str) -> None:
    reply = parse_reply(protocol, raw)
    assert all(token == token.lower() for token in reply.tokens)
    assert TABLE.diagnose(protocol, "auth_password", [reply], Origin(), raw).diagnosis.code in TABLE.codes


@given(text=st.text(max_size=40).map(lambda text: " ".join(text.split())).filter(lambda text: text[-1:].isalpha()))
def test_variable_suffixes_do_not_matter(text: str) -> None:
    for suffix in (" [SN2PR00CA0018.namprd00.prod.outlook.com 2026-11-21T10:00:00.000Z 08DE]", " (_ssl.c:1006)",
                   " [mx1.example.com:2026-11-21 10:00:00]", " sc=AbC123", " Trace ID: 1 Correlation ID: 2"):  # fmt: skip
        assert parse_reply("imap", f"NO x{text}{suffix}") == parse_reply("imap", f"NO x{text}")


def test_ids_are_unique_and_every_code_is_described() -> None:
    assert len({rule.rule_id for rule in TABLE.rules}) == len(TABLE.rules)
    assert {rule.code for rule in TABLE.rules} < set(TABLE.codes)


def test_the_page_is_about_the_code_where_the_service_has_one() -> None:
    google = TABLE.providers["google"]
    assert google.page_about("IMAP_DISABLED") == "https://support.google.com/mail/answer/7126229"
    assert google.page_about("AUTH_BAD_CREDENTIALS") == google.help
    for provider in TABLE.providers.values():
        assert set(provider.pages) <= set(TABLE.codes)
        assert all(page.startswith("https://") for page in provider.pages.values())


def test_the_version_is_raised_with_every_change() -> None:
    """Old events name the version that classified them: raise it, then write the new digest here."""
    digest = hashlib.sha256()
    for name in ("codes.csv", "diagnoses.csv", "words.csv"):
        digest.update((files("berth_connector.diagnosis") / name).read_bytes())
    assert (TABLE_VERSION, digest.hexdigest()[:16]) == ("2026-11-21.12", "04f050c217198427")
