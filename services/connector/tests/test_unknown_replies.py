"""Replies that are not in the table: taken by their codes or quoted, and never called a wrong password without proof."""

import re
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_connector.diagnosis import DiagnosisTable, Origin, Rule, parse_reply
from berth_events.contracts import Diagnosis
from berth_testing.corpus import open_stage, scenes
from berth_testing.corpus.scenes import Scene
from berth_testing.providers import PROVIDERS, SOFTWARE

TABLE = DiagnosisTable.load()
BLAME = "AUTH_BAD_CREDENTIALS"
#: Said by two servers for different reasons: what one provider says of passwords that it does not allow is a stranger's word
#: for a wrong one.
AMBIGUOUS_BY_NATURE = {
    "icloud.imap.auth_failed",
    "microsoft.imap.login_failed",
    "fastmail.imap.incorrect",
    "microsoft.smtp.unsuccessful",
}
ORIGINS = [
    Origin(),
    *(Origin(service=name) for name in PROVIDERS),
    *(Origin(software=name) for name in SOFTWARE),
    Origin(service="nobody.example"),
]
STEPS = ("greeting", "capability", "starttls", "auth_password", "auth_oauth", "select", "noop", "mail_from", "data")
#: Texts of refusals that name the credential, as the table's own rows do.
NAMES_THE_CREDENTIAL = re.compile(
    "|".join(rule.pattern.pattern for rule in TABLE.rules if rule.code == BLAME and rule.pattern), re.IGNORECASE
)
WRONG_PASSWORDS = [
    "Benutzername oder Kennwort falsch", "Identifiants incorrects", "ユーザー名またはパスワードが違います", "用户名或密码错误",
    "Неверное имя пользователя или пароль", "اسم المستخدم أو كلمة المرور غير صحيحة", "Nieprawidłowe hasło",
]  # fmt: skip
OTHER_CAUSES = {
    "Konto gesperrt, bitte wenden Sie sich an den Support": "ACCOUNT_LOCKED",
    "Compte suspendu": "ACCOUNT_DISABLED",
    "Trop de connexions": "CONNECTION_LIMIT",
    "系统繁忙 请稍后再试": "PROVIDER_TEMPORARY",
    "Contul este blocat": "UNKNOWN",
    "Tài khoản đã bị khóa": "UNKNOWN",
}
LANGUAGES = [*WRONG_PASSWORDS, *OTHER_CAUSES]
TEXTS = st.one_of(st.text(max_size=120), st.sampled_from(LANGUAGES))
IMAP_CODES = st.sampled_from(
    [
        "",
        "[ALERT]",
        "[UNAVAILABLE]",
        "[AUTHENTICATIONFAILED]",
        "[LIMIT]",
        "[X-NEW]",
        "[CONTACTADMIN]",
        "[]",
        "[",
        "[INUSE] [",
    ]
)
IMAP_REPLIES = st.builds(
    lambda status, code, text: f"{status} {code} {text}",
    st.sampled_from(["NO", "BAD", "BYE", "no", "OK", "NOPE", ""]), IMAP_CODES, TEXTS,
)  # fmt: skip
SMTP_REPLIES = st.builds(
    lambda code, enhanced, text: f"{code} {enhanced} {text}",
    st.integers(min_value=200, max_value=599) | st.sampled_from([535, 534, 454, 421, 550, 554, 503]),
    st.sampled_from(["", "5.7.8", "5.7.0", "5.7.139", "4.7.0", "5.7.999", "2.0.0", "5.5.1"]), TEXTS,
)  # fmt: skip
REPLIES = st.one_of(
    st.tuples(st.just("imap"), IMAP_REPLIES | st.text(max_size=80)),
    st.tuples(st.just("smtp"), SMTP_REPLIES | st.text(max_size=80)),
)


def diagnosed(protocol: str, step: str, raw: str, origin: Origin) -> Diagnosis:
    return TABLE.diagnose(protocol, step, [parse_reply(protocol, raw)], origin, raw).diagnosis


def is_proven(protocol: str, step: str, raw: str) -> bool:
    """A refusal of the credential: by words that name it, or by the standard's code where there are hardly any words."""
    reply = parse_reply(protocol, raw)
    refused = "no" in reply.tokens if protocol == "imap" else bool(reply.tokens & {"535", "534", "526"})
    return step == "auth_password" and refused and NAMES_THE_CREDENTIAL.search(reply.text) is not None


@given(spoken=REPLIES, step=st.sampled_from(STEPS), origin=st.sampled_from(ORIGINS))
def test_nothing_but_a_proven_refusal_is_called_a_wrong_password(
    spoken: tuple[str, str], step: str, origin: Origin
) -> None:
    protocol, raw = spoken
    found = diagnosed(protocol, step, raw, origin)
    assert found.code != BLAME or is_proven(protocol, step, raw)
    assert found.rule_id is not None or (found.code, found.confidence, found.reply) == (
        "UNKNOWN",
        "none",
        raw.replace("\0", "\ufffd"),
    )


@pytest.mark.parametrize("rule", [rule for rule in TABLE.rules if rule.code != BLAME], ids=lambda rule: rule.rule_id)
def test_no_other_refusal_becomes_a_wrong_password_in_a_strangers_mouth(rule: Rule) -> None:
    """Behind a host name of one's own, or said by a provider that is not in the table."""
    for scene in scenes(rule):
        if scene.protocol == "oauth" or rule.rule_id in AMBIGUOUS_BY_NATURE:
            continue
        raw = (
            scene.reply if scene.protocol == "smtp" or re.match(r"NO|BAD|BYE|\+", scene.reply) else f"NO {scene.reply}"
        )
        for origin in (Origin(), Origin(service="nobody.example"), *(Origin(software=name) for name in SOFTWARE)):
            assert diagnosed(scene.protocol, scene.step, raw, origin).code != BLAME, (scene.step, origin)


def mutations(scene: Scene, random: Random) -> Sequence[str]:
    """The example with other words, other codes, other case, cut, doubled, and in a language of its own."""
    words = scene.reply.split()
    place = random.randrange(1, len(words)) if len(words) > 1 else 0
    return [
        " ".join(words[:place]),
        " ".join([*words[:place], "Zebra", *words[place + 1 :]]),
        scene.reply.swapcase(),
        f"{scene.reply} {scene.reply}",
        re.sub(r"\d", lambda digit: str((int(digit[0]) + 1) % 10), scene.reply),
        re.sub(r"[a-z]", "z", scene.reply),
        f"{words[0]} {random.choice(LANGUAGES)}",
    ]


@pytest.mark.parametrize("rule", [rule for rule in TABLE.rules if rule.code != BLAME], ids=lambda rule: rule.rule_id)
def test_mutated_examples_are_not_called_a_wrong_password(rule: Rule) -> None:
    random = Random(rule.rule_id)
    for scene in scenes(rule):
        if scene.protocol == "oauth":
            continue
        origins = [Origin(), Origin(service=scene.provider), Origin(software=scene.provider)]
        for raw in mutations(scene, random):
            for origin in origins:
                found = diagnosed(scene.protocol, scene.step, raw, origin)
                assert found.code != BLAME or is_proven(scene.protocol, scene.step, raw), (raw, origin)
                assert found.rule_id is not None or found.reply == raw


SOCKET_REPLIES = [
    *(("imap", "auth_password", f"NO {text}", BLAME) for text in WRONG_PASSWORDS),
    *(("smtp", "auth_password", f"535 {text}", BLAME) for text in WRONG_PASSWORDS),
    *(("smtp", "auth_password", f"550 {text}", "UNKNOWN") for text in WRONG_PASSWORDS),
    *(("imap", "auth_password", f"NO {text}", code) for text, code in OTHER_CAUSES.items()),
    *(("smtp", "auth_password", f"535 5.7.8 {text}", code) for text, code in OTHER_CAUSES.items()),
    ("imap", "auth_password", "BAD Zebra", "UNKNOWN"),
    ("imap", "auth_password", "NO [X-NEW-CODE] Zebra", "UNKNOWN"),
    ("imap", "auth_password", "NO [AUTHENTICATIONFAILED] Zebra", BLAME),
    ("imap", "auth_password", "NO [AUTHENTICATIONFAILED] Sign-in temporarily disabled", "AUTH_AMBIGUOUS"),
    ("imap", "auth_oauth", "NO [AUTHENTICATIONFAILED] Zebra", "OAUTH_TOKEN_REJECTED"),
    ("imap", "select", "NO Zebra", "MAILBOX_NOT_REACHABLE"),
    ("smtp", "auth_password", "535 5.7.8 Zebra", BLAME),
    ("smtp", "auth_password", "535 5.7.8 Too many attempts, try again later", "TOO_MANY_AUTH"),
    ("smtp", "auth_password", "535 5.7.8 The moon is full tonight", "UNKNOWN"),
    ("smtp", "auth_password", "535 5.7.139 Zebra", "AUTH_AMBIGUOUS"),
    ("smtp", "auth_oauth", "535 5.7.8 Zebra", "OAUTH_TOKEN_REJECTED"),
    ("smtp", "auth_password", "432 4.7.12 A password transition is needed", "UNKNOWN"),
    ("smtp", "noop", "451 4.3.0 Zebra", "PROVIDER_TEMPORARY"),
    ("smtp", "greeting", "554 Zebra", "UNKNOWN"),
]


@pytest.mark.parametrize("provider", ["*", "google", "yandex", "sw:dovecot"])
async def test_unknown_replies_over_a_socket_are_quoted(provider: str) -> None:
    async with open_stage() as stage:
        for protocol, step, reply, code in SOCKET_REPLIES:
            found: Any = await stage.play(Scene(TABLE.rules[0], protocol, step, provider, reply))  # type: ignore[arg-type]
            assert found.code == code, (reply, found)
            assert reply.partition(" ")[2].partition("] ")[2] in found.reply
            if code == "UNKNOWN":
                assert (found.rule_id, found.confidence) == (None, "none")
                assert found.retry_policy == ("bounded" if reply[0] == "4" or step == "greeting" else "never")
