"""The grammar of SPF records (RFC 7208 §12). Pure: text in, terms and errors out.

The whole record is read, also what follows `all`, because an error anywhere makes the record void (§4.6).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, Literal

from berth_dns_auditor.checks.spf_macros import BadMacro, check_macros

__all__ = [
    "Directive",
    "Modifier",
    "Network",
    "SpfRecord",
    "SyntaxIssue",
    "is_spf",
    "parse_spf",
]

Mechanism = Literal["all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"]
Network = IPv4Network | IPv6Network

RECORDS_KEPT: Final = 512
#: A record with this many errors is not read further.
ISSUES_MAX: Final = 10

_MECHANISMS: Final = frozenset({"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"})
_KNOWN_MODIFIERS: Final = frozenset({"redirect", "exp"})
_VERSION: Final = re.compile(r"v=spf1(?= |$)", re.IGNORECASE)
_TERM: Final = re.compile(r"[^ ]+")
_MODIFIER: Final = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*)=(.*)", re.DOTALL)
_DIRECTIVE: Final = re.compile(r"([+?~-]?)([A-Za-z][A-Za-z0-9]*)([:/].*)?", re.DOTALL)
_CIDR_TAIL: Final = re.compile(r"(?:/([0-9]+))?(?://([0-9]+))?$")
_LABEL: Final = re.compile(r"[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class SyntaxIssue:
    """Why a record is void: a finding's code, the offending term and its place in the record (from 0)."""

    code: str
    term: str
    position: int
    reason: str


@dataclass(frozen=True, slots=True)
class Directive:
    """A mechanism with its qualifier.

    Attributes:
        text: The term as written.
        qualifier: `+`, `-`, `~` or `?`; `+` when none is written.
        target: The domain-spec with macros unexpanded; None when the mechanism has none.
        network: The range of ip4 and ip6.
        prefixes: The IPv4 and IPv6 prefix lengths of a and mx.
    """

    text: str
    qualifier: str
    mechanism: Mechanism
    target: str | None = None
    network: Network | None = None
    prefixes: tuple[int, int] = (32, 128)


@dataclass(frozen=True, slots=True)
class Modifier:
    """A name=value term; the name in lower case."""

    text: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class SpfRecord:
    """A parsed record. With issues it is void, and the terms are those that could be read.

    Attributes:
        reached: The directives that an evaluation can reach: up to the first `all`, with it.
    """

    text: str
    terms: tuple[Directive | Modifier, ...]
    issues: tuple[SyntaxIssue, ...]
    reached: tuple[Directive, ...]

    @property
    def all(self) -> Directive | None:
        """The `all` that ends the evaluation, if there is one."""
        return self.reached[-1] if self.reached and self.reached[-1].mechanism == "all" else None

    @property
    def redirect(self) -> Modifier | None:
        """The redirect, whether or not an `all` makes it ineffective (§6.1)."""
        return self._modifier("redirect")

    @property
    def exp(self) -> Modifier | None:
        """Where the explanation of a fail stands (§6.2)."""
        return self._modifier("exp")

    def _modifier(self, name: str) -> Modifier | None:
        return next((term for term in self.terms if isinstance(term, Modifier) and term.name == name), None)


def is_spf(text: str) -> bool:
    """Whether a TXT record is an SPF record: `v=spf1`, then a space or the end (§4.5)."""
    return _VERSION.match(text) is not None


@lru_cache(maxsize=RECORDS_KEPT)
def parse_spf(text: str) -> SpfRecord:
    """Read a record for which `is_spf` holds. Never raises: what is wrong is in `issues`.

    Most domains include the records of a few mail providers, so the last ones are kept.
    """
    terms: list[Directive | Modifier] = []
    issues: list[SyntaxIssue] = []
    after_all = False
    for match in _TERM.finditer(text[len("v=spf1") :]):
        position = match.start() + len("v=spf1")
        try:
            term = _parse_term(match.group(), terms)
        except _Wrong as wrong:
            hidden = after_all and wrong.code == "SPF_SYNTAX_ERROR"
            code = "SPF_SYNTAX_AFTER_ALL" if hidden else wrong.code
            issues.append(SyntaxIssue(code, match.group(), position, wrong.reason))
            if len(issues) == ISSUES_MAX:
                break
            continue
        terms.append(term)
        after_all = after_all or (isinstance(term, Directive) and term.mechanism == "all")
    directives = [term for term in terms if isinstance(term, Directive)]
    end = next((index for index, term in enumerate(directives, 1) if term.mechanism == "all"), None)
    return SpfRecord(text, tuple(terms), tuple(issues), tuple(directives[:end]))


class _Wrong(Exception):
    """A term is not in the grammar."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def _parse_term(text: str, earlier: Sequence[Directive | Modifier]) -> Directive | Modifier:
    if not (text.isascii() and text.isprintable()):
        raise _Wrong("SPF_NON_ASCII", "a control character or a byte outside ASCII")
    if match := _MODIFIER.fullmatch(text):
        return _parse_modifier(text, match.group(1).lower(), match.group(2), earlier)
    match = _DIRECTIVE.fullmatch(text)
    if match is None or match.group(2).lower() not in _MECHANISMS:
        raise _Wrong("SPF_SYNTAX_ERROR", "not a mechanism and not name=value")
    qualifier, mechanism, argument = match.group(1) or "+", match.group(2).lower(), match.group(3) or ""
    match mechanism:
        case "all":
            if argument:
                raise _Wrong("SPF_SYNTAX_ERROR", "all takes no argument")
            return Directive(text, qualifier, "all")
        case "ip4" | "ip6":
            return Directive(text, qualifier, mechanism, network=_parse_network(mechanism, argument))
        case "a" | "mx":
            target, prefixes = _parse_dual_cidr(argument)
            return Directive(text, qualifier, mechanism, target, prefixes=prefixes)
        case "ptr":
            return Directive(text, qualifier, "ptr", _domain_spec(argument[1:]) if argument else None)
        case _:
            if not argument.startswith(":"):
                raise _Wrong("SPF_SYNTAX_ERROR", f"{mechanism} needs a domain")
            return Directive(text, qualifier, "include" if mechanism == "include" else "exists", _spec_of(argument))


def _parse_modifier(text: str, name: str, value: str, earlier: Sequence[Directive | Modifier]) -> Modifier:
    if name not in _KNOWN_MODIFIERS:
        _check_macros(value)
        return Modifier(text, name, value)
    _domain_spec(value)
    if any(isinstance(term, Modifier) and term.name == name for term in earlier):
        raise _Wrong("SPF_MODIFIER_REPEATED", f"{name} appears twice")
    return Modifier(text, name, value)


def _spec_of(argument: str) -> str:
    if not argument.startswith(":"):
        raise _Wrong("SPF_BAD_CIDR", "a prefix length that is not allowed here, or not a number")
    return _domain_spec(argument[1:])


def _parse_dual_cidr(argument: str) -> tuple[str | None, tuple[int, int]]:
    four, six = None, None
    if tail := _CIDR_TAIL.search(argument):
        (four, six), argument = tail.groups(), argument[: tail.start()]
    return (_spec_of(argument) if argument else None), (_prefix(four, 32), _prefix(six, 128))


def _prefix(digits: str | None, longest: int) -> int:
    if digits is None:
        return longest
    if not re.fullmatch(r"0|[1-9][0-9]{0,2}", digits) or int(digits) > longest:
        raise _Wrong("SPF_BAD_CIDR", f"/{digits} is not a prefix length from 0 to {longest}")
    return int(digits)


def _parse_network(mechanism: str, argument: str) -> Network:
    address, slash, digits = argument.removeprefix(":").partition("/")
    if not argument.startswith(":") or not address:
        raise _Wrong("SPF_SYNTAX_ERROR", f"{mechanism} needs an address")
    try:
        parsed = ip_address(address)
    except ValueError:
        raise _Wrong("SPF_SYNTAX_ERROR", f"{address} is not an address") from None
    if f"ip{parsed.version}" != mechanism or "%" in address:
        raise _Wrong("SPF_SYNTAX_ERROR", f"{address} is not an {mechanism} address")
    length = _prefix(digits if slash else None, parsed.max_prefixlen)
    return ip_network((parsed, length), strict=False)


def _domain_spec(spec: str) -> str:
    end = _check_macros(spec)
    if end == len(spec) and spec:
        return spec
    if re.fullmatch(r"[0-9.]+", spec):
        raise _Wrong("SPF_A_IS_IP", f"{spec} is an address, not a domain")
    literal, dot, top = spec[end:].removesuffix(".").rpartition(".")
    if not dot or not _LABEL.fullmatch(top) or top.isdigit():
        if "/" in (top or literal):
            raise _Wrong("SPF_BAD_CIDR", f"{spec} ends in something like a prefix length")
        raise _Wrong("SPF_SYNTAX_ERROR", f"{spec!r} does not end in a domain")
    return spec


def _check_macros(text: str) -> int:
    try:
        return check_macros(text)
    except BadMacro as error:
        raise _Wrong("SPF_MACRO_INVALID", str(error)) from None
