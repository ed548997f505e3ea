"""Which mailboxes the played providers have, and what is said to each: its name chooses rows of the table of diagnoses.

`works` works. A diagnosis' code in small letters with hyphens (`auth-app-password-required`) fails with it at IMAP and at SMTP,
wherever the provider has words for it; the rest of a row's id (`smtp.web_login_required`) is told that row's words alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from berth_connector.diagnosis import DiagnosisTable, Rule
from berth_local.sandbox.providers.rows import replies_of, spoken, steps_of
from berth_local.sandbox.providers.services import Service, services
from berth_local.sandbox.providers.speakers import PROVIDERS

__all__ = ["PASSWORD", "WORKS", "Casting", "Line", "Played", "Protocol"]

#: Of every mailbox at a provider. There is nothing to protect, and it is easy to type.
PASSWORD: Final = "let-me-in"
WORKS: Final = "works"

Protocol = str
#: Where a server that knows who signs in can still refuse, in the order of an exchange.
_BEHIND: Final = ("select", "noop", "mail_from", "rcpt_to", "data")
_WRONG: Final = "AUTH_BAD_CREDENTIALS"
#: Where a provider has no words that mean a wrong password alone: those that it has for that and for something else.
_PERHAPS_WRONG: Final = ("AUTH_APP_PASSWORD_REQUIRED", "AUTH_AMBIGUOUS")
#: Of those who take no passwords any more.
_NO_PASSWORDS: Final = "AUTH_BASIC_DISABLED"
_REJECTED: Final = "OAUTH_TOKEN_REJECTED"
#: Rows of the standards that any server may say.
_STANDARD: Final = "fallback."


@dataclass(frozen=True, slots=True)
class Line:
    """What is said: a row's words, and the step that they refuse."""

    rule: Rule
    step: str
    words: bytes


@dataclass(frozen=True, slots=True)
class Played:
    """A mailbox.

    Attributes:
        name: before the @.
        rules: rows that its servers may say; none: it works.
    """

    name: str
    rules: tuple[Rule, ...] = ()

    def line(self, protocol: Protocol, *, by_token: bool) -> Line | None:
        """What this mailbox is told instead of being served, by the first row that has words for it; None: nothing."""
        at_once = "auth_oauth" if by_token else "auth_password"
        for rule in self.rules:
            if (line := _line(rule, protocol, (at_once, *_BEHIND))) is not None:
                return line
        return None


class Casting:
    """All mailboxes of all providers.

    Args:
        table: of diagnoses.

    Attributes:
        services: of all providers.
        names: of the providers, for people, by their names in the table.
        mailboxes: by provider and by what stands before the @.
    """

    def __init__(self, table: DiagnosisTable) -> None:
        self.services: tuple[Service, ...] = tuple(services())
        self.names = {provider: table.providers[provider].name for provider in PROVIDERS}
        self._rules = {provider: [rule for rule in table.rules if provider in rule.providers] for provider in PROVIDERS}
        self._standards = [rule for rule in table.rules if rule.rule_id.startswith(_STANDARD)]
        self.mailboxes: Mapping[str, Mapping[str, Played]] = {
            provider: {played.name: played for played in _mailboxes(rules)} for provider, rules in self._rules.items()
        }

    def addresses(self) -> list[str]:
        """Every mailbox once, in the first of the domains that it is in."""
        return [
            f"{name}@{service.domains[0]}"
            for service in self.services
            if service.domains
            for name in self.mailboxes[service.provider]
        ]

    def aliases(self) -> dict[str, str]:
        """The domains whose mailboxes `addresses` has in another domain: that one."""
        return {domain: service.domains[0] for service in self.services for domain in service.domains[1:]}

    def home(self, provider: str) -> str:
        """The domain of user names that have none."""
        return next(one.domains[0] for one in self.services if one.provider == provider and one.domains)

    def service(self, provider: str, address: str) -> Service | None:
        """Where the provider has mailboxes of the address' domain; None: it has none of them."""
        domain = address.partition("@")[2]
        return next((one for one in self.services if one.provider == provider and domain in one.domains), None)

    def refusal(self, provider: str, protocol: Protocol, *, by_token: bool) -> Line:
        """What the provider says to a wrong password, or to a token that does not open the mailbox."""
        step = "auth_oauth" if by_token else "auth_password"
        takes_passwords = any(one.takes_passwords for one in self.services if one.provider == provider)
        wrong = (_WRONG, *_PERHAPS_WRONG) if takes_passwords else (_NO_PASSWORDS, _WRONG)
        wanted = (_REJECTED,) if by_token else wrong
        rules = [rule for code in wanted for rule in self._rules[provider] if rule.code == code]
        rules += (rule for code in wanted for rule in self._standards if rule.code == code)
        return next(line for rule in rules if (line := _line(rule, protocol, (step,))) is not None)


def _line(rule: Rule, protocol: Protocol, steps: Iterable[str]) -> Line | None:
    if protocol not in rule.protocols:
        return None
    possible, replies = steps_of(rule, protocol), replies_of(rule, protocol)
    step = next((step for step in steps if step in possible), None)
    return Line(rule, step, spoken(protocol, replies[0])) if step and replies else None


def _mailboxes(rules: Sequence[Rule]) -> Iterable[Played]:
    yield Played(WORKS)
    told = [rule for rule in rules if _can_be_told(rule)]
    for code in dict.fromkeys(rule.code for rule in told):
        yield Played(code.lower().replace("_", "-"), tuple(rule for rule in told if rule.code == code))
    for rule in told:
        yield Played(rule.rule_id.partition(".")[2], (rule,))


def _can_be_told(rule: Rule) -> bool:
    """Whether a server can say it to somebody whom it knows already."""
    steps = ("auth_password", "auth_oauth", *_BEHIND)
    return any(_line(rule, protocol, steps) is not None for protocol in ("imap", "smtp"))
