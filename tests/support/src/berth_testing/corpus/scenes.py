"""Who says what at which step: the places where a row of the table of diagnoses occurs."""

import base64
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from berth_connector.diagnosis import Rule
from berth_testing.peers import CLOSE, Answer, Script
from berth_testing.providers import PROVIDERS, SOFTWARE, UNKNOWN_SERVER, Provider

__all__ = ["PASSWORD", "USERNAME", "Scene", "refusing", "scenes", "spoken", "token_error"]

USERNAME: Final = "me@test.example"
PASSWORD: Final = "correct horse"
#: What a server says where the row has no example.
_SAYS_LITTLE: Final = "Refused."
#: The steps of the exchange that a row about any step is played at.
_ANY: Final[dict[str, tuple[str, ...]]] = {
    "imap": ("capability", "auth_password", "auth_oauth", "select"),
    "smtp": ("greeting", "capability", "auth_password", "auth_oauth", "noop"),
}
_SPOKEN: Final = {
    "imap": frozenset({"greeting", "capability", "starttls", "auth_password", "auth_oauth", "select"}),
    "smtp": frozenset(
        {"greeting", "capability", "starttls", "auth_password", "auth_oauth", "noop", "mail_from", "rcpt_to", "data"}
    ),
    "oauth": frozenset({"token"}),
}
#: A SASL response on a line of its own, and that to AUTH LOGIN's last question.
_RESPONSE: Final = r"^[A-Za-z0-9+/]{8,}={0,2}$"
_RESPONSE_TO_LOGIN: Final = re.escape(base64.b64encode(PASSWORD.encode()).decode())

Protocol = Literal["imap", "smtp", "oauth"]


@dataclass(frozen=True, slots=True)
class Scene:
    """One row at one place.

    Attributes:
        rule: the row.
        protocol: which server plays it.
        step: the table's name of the step.
        provider: who plays it: a service (`google`), a software (`sw:dovecot`), or `*`.
        reply: what is said, as in the table; the stage gives it the form of the protocol.
    """

    rule: Rule
    protocol: Protocol
    step: str
    provider: str
    reply: str

    def __str__(self) -> str:
        return f"{self.rule.rule_id}: {self.provider} {self.protocol} {self.step}"

    @property
    def speaker(self) -> Provider:
        """The scripts of whoever plays it."""
        return PROVIDERS.get(self.provider) or SOFTWARE.get(self.provider) or UNKNOWN_SERVER


def scenes(rule: Rule) -> Iterator[Scene]:
    """Every place of a row that has a reply: those at which Berth talks with a server.

    Rows about findings of our own (`net.`, `own.`) have none: see `berth_testing.corpus.conditions`.
    """
    if rule.rule_id.startswith(("net.", "own.")):
        return
    protocols: tuple[Protocol, ...] = ("imap", "smtp", "oauth")
    for protocol in protocols:
        if protocol not in rule.protocols:
            continue
        for step in dict.fromkeys(_steps(rule, protocol)):
            for provider in rule.providers:
                for reply in _replies(rule, protocol):
                    yield Scene(rule, protocol, step, provider, reply)


def _steps(rule: Rule, protocol: str) -> Iterator[str]:
    for name in rule.steps:
        named = {"auth": ("auth_password", "auth_oauth"), "*": _ANY.get(protocol, ())}.get(name, (name,))
        yield from (step for step in named if step in _SPOKEN[protocol])


def _replies(rule: Rule, protocol: str) -> Sequence[str]:
    if rule.example:
        return (rule.example,)
    if protocol == "oauth":
        return [" ".join(sorted(wanted)) for wanted in rule.codes]
    return [_reply_of(wanted, protocol) for wanted in rule.codes if _is_of(wanted, protocol)]


def _is_of(wanted: frozenset[str], protocol: str) -> bool:
    """Challenges look different: `+` in IMAP, `334` in SMTP."""
    return not wanted & ({"334"} if protocol == "imap" else {"+"})


def _reply_of(wanted: frozenset[str], protocol: str) -> str:
    """A reply with these codes and a text that means nothing."""
    if wanted & {"+", "334"}:
        [status] = wanted - {"+", "334"}
        return "+ " + base64.b64encode(json.dumps({"status": status}).encode()).decode()
    if protocol == "smtp":
        code = next((token for token in wanted if token.isdigit()), "")
        enhanced = next((token for token in wanted if "." in token), "")
        return " ".join(filter(None, [code or f"{enhanced[0]}50", enhanced, _SAYS_LITTLE]))
    status = next((token for token in wanted if token in {"no", "bad", "bye"}), "no")
    code = next((f"[{token.upper()}] " for token in wanted - {status}), "")
    return f"{status.upper()} {code}{_SAYS_LITTLE}"


def spoken(protocol: str, reply: str) -> bytes:
    """A reply as the table has it, as lines of the protocol; TAG stands for IMAP's tag."""
    if protocol == "imap":
        bare = re.sub(r"^\d+ (?=NO|BAD)", "", reply)  # the example came with a tag of its own
        if bare.startswith("+ "):
            return f"{bare}\r\n".encode()
        if re.match(r"BYE\b", bare):
            return f"* {bare}\r\n".encode()
        return f"TAG {bare if re.match(r'(NO|BAD) ', bare) else f'NO {bare}'}\r\n".encode()
    if reply.startswith("+ "):
        return f"334 {reply[2:]}\r\n".encode()
    if not re.match(r"\d{3}[ -]", reply):
        reply = f"{'530' if re.match(r'5[.]7[.]57', reply) else '535'} {reply}"
    code, words = reply[:3], reply[4:]
    lines = [line.strip() for line in words.split("…") if line.strip()] or [words]
    enhanced = re.match(r"\d\.\d+\.\d+ ", words)
    lines = [lines[0], *(f"{enhanced[0] if enhanced else ''}{line}" for line in lines[1:])]
    return "".join(f"{code}{' ' if n == len(lines) else '-'}{line}\r\n" for n, line in enumerate(lines, 1)).encode()


def refusing(scene: Scene, words: bytes) -> Script:
    """The speaker's script with these words at the scene's step; where a greeting or a good-bye ends it, it hangs up."""
    ends = scene.step == "greeting" or words.startswith((b"* BYE", b"421"))
    answer: Answer = (words, CLOSE) if ends else words
    if scene.protocol == "imap":
        script = scene.speaker.imap
        refused = b"TAG NO Refused." if words.startswith(b"+ ") else b""
        patterns = {
            "capability": [r" CAPABILITY$"],
            "starttls": [r" STARTTLS$"],
            "select": [r" EXAMINE "],
        }.get(scene.step, [r" AUTHENTICATE \S+ \S+$", r" LOGIN ", _RESPONSE])
    else:
        script = scene.speaker.smtp
        refused = b"550 Refused." if words.startswith(b"334 ") else b""
        patterns = {
            "capability": [r"^EHLO "],
            "starttls": [r"^STARTTLS$"],
            "noop": [r"^NOOP$"],
            "mail_from": [r"^MAIL "],
            "rcpt_to": [r"^RCPT "],
            "data": [r"^DATA$"],
        }.get(scene.step, [r"^AUTH \S+ \S+$", f"^{_RESPONSE_TO_LOGIN}$"])
    if scene.step == "greeting":
        return script.but(greeting=answer)
    # a challenge is acknowledged with an empty line; behind it comes a refusal that says nothing
    return script.but(*((pattern, answer) for pattern in patterns), *([("^$", refused + b"\r\n")] if refused else []))


def token_error(scene: Scene) -> dict[str, object]:
    """The row's example as a token endpoint's answer (RFC 6749, section 5.2; Microsoft adds `error_codes`)."""
    reply = scene.reply
    numbers = [int(number) for number in re.findall(r"AADSTS(\d+)", reply, re.IGNORECASE)]
    named = re.match(r"([a-z]+(?:_[a-z]+)+)(?:: |$)", reply)
    error = named[1] if named else "invalid_client" if numbers else "invalid_grant"
    described = reply[named.end() :] if named else reply.upper() if numbers and not scene.rule.example else reply
    return {"error": error, "error_description": described, **({"error_codes": numbers} if numbers else {})}
