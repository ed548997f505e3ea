"""Who says what at which step: the places where a row of the table of diagnoses occurs."""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from berth_connector.diagnosis import Rule
from berth_local.sandbox.providers.rows import COMMANDS, LAST_WORDS, replies_of, steps_of
from berth_testing.peers import CLOSE, Answer, Script
from berth_testing.providers import PROVIDERS, SOFTWARE, UNKNOWN_SERVER, Provider

__all__ = ["PASSWORD", "USERNAME", "Scene", "refusing", "scenes"]

USERNAME: Final = "me@test.example"
PASSWORD: Final = "correct horse"
#: What stands before an example's text. A server that turns one away in its greeting says BYE (RFC 3501, section 7.1.5).
_STATUS: Final = re.compile(r"\A(?:NO|BAD|\d{3}(?: \d\.\d+\.\d+)?) ")
#: A SASL response on a line of its own, and that to AUTH LOGIN's last question.
_RESPONSE: Final = r"^[A-Za-z0-9+/]{8,}={0,2}$"
_RESPONSE_TO_LOGIN: Final = re.escape(base64.b64encode(PASSWORD.encode()).decode())

#: The lines that a sign-in ends with.
_SIGN_IN: Final = {
    "imap": (r" AUTHENTICATE \S+ \S+$", r" LOGIN ", _RESPONSE),
    "smtp": (r"^AUTH \S+ \S+$", f"^{_RESPONSE_TO_LOGIN}$"),
}

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
        for step in steps_of(rule, protocol):
            for provider in rule.providers:
                for reply in replies_of(rule, protocol):
                    turned_away = protocol == "imap" and step == "greeting"
                    said = _STATUS.sub("BYE ", reply) if turned_away else reply
                    yield Scene(rule, protocol, step, provider, said)


def refusing(scene: Scene, words: bytes) -> Script:
    """The speaker's script with these words at the scene's step; where a greeting or a good-bye ends it, it hangs up."""
    ends = scene.step == "greeting" or words.startswith((b"* BYE", b"421"))
    answer: Answer = (words, CLOSE) if ends else words
    script = scene.speaker.imap if scene.protocol == "imap" else scene.speaker.smtp
    command = COMMANDS[scene.protocol].get(scene.step)
    patterns = [command] if command else _SIGN_IN[scene.protocol]
    challenge = words.startswith((b"+ ", b"334 "))
    if scene.step == "greeting":
        return script.but(greeting=answer)
    # a challenge is acknowledged with an empty line; behind it comes a refusal that says nothing
    last: list[tuple[str, Answer]] = [("^$", LAST_WORDS[scene.protocol])] if challenge else []
    return script.but(*((pattern, answer) for pattern in patterns), *last)
