"""Rows of the table of diagnoses as something that a server says: at which step, and in which bytes."""

import base64
import json
import re
from collections.abc import Sequence
from typing import Final

from berth_connector.diagnosis import Rule

__all__ = ["COMMANDS", "LAST_WORDS", "replies_of", "spoken", "steps_of", "token_error"]

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
#: The line that a step is refused in answer to; a sign-in has several forms.
COMMANDS: Final[dict[str, dict[str, str]]] = {
    "imap": {"capability": r" CAPABILITY$", "starttls": r" STARTTLS$", "select": r" (EXAMINE|SELECT) "},
    "smtp": {
        "capability": r"^EHLO ",
        "starttls": r"^STARTTLS$",
        "noop": r"^NOOP$",
        "mail_from": r"^MAIL ",
        "rcpt_to": r"^RCPT ",
        "data": r"^DATA$",
    },
}
#: Behind a challenge that the client has acknowledged: a refusal that says nothing.
LAST_WORDS: Final = {"imap": b"TAG NO Refused.\r\n", "smtp": b"550 Refused.\r\n"}


def steps_of(rule: Rule, protocol: str) -> Sequence[str]:
    """The steps at which a server of this protocol may say it."""
    steps: list[str] = []
    for name in rule.steps:
        named = {"auth": ("auth_password", "auth_oauth"), "*": _ANY.get(protocol, ())}.get(name, (name,))
        steps += (step for step in named if step in _SPOKEN[protocol])
    return list(dict.fromkeys(steps))


def replies_of(rule: Rule, protocol: str) -> Sequence[str]:
    """What is said: the row's example, or words for each combination of codes."""
    if rule.example:
        return [rule.example]
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


def token_error(rule: Rule, reply: str) -> dict[str, object]:
    """A row's reply as a token endpoint's answer (RFC 6749, section 5.2; Microsoft adds `error_codes`)."""
    numbers = [int(number) for number in re.findall(r"AADSTS(\d+)", reply, re.IGNORECASE)]
    named = re.match(r"([a-z]+(?:_[a-z]+)+)(?:: |$)", reply)
    error = named[1] if named else "invalid_client" if numbers else "invalid_grant"
    described = reply[named.end() :] if named else reply.upper() if numbers and not rule.example else reply
    return {"error": error, "error_description": described, **({"error_codes": numbers} if numbers else {})}
