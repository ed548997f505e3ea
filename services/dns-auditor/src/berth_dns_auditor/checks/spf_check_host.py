"""check_host (RFC 7208 §4): what a receiver would make of mail from one address."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, Literal

from berth_dns_auditor.checks.spf_grammar import Directive, SpfRecord, is_spf, parse_spf
from berth_dns_auditor.checks.spf_macros import (
    BadMacro,
    check_macros,
    client_macros,
    expand,
    expand_name,
    letters_of,
)
from berth_dns_auditor.resolver import Answer, Rdtype, Resolver, TemporaryDnsError, exchanges, printable
from berth_net.addresses import unwrap

__all__ = ["SpfResult", "SpfVerdict", "check_host"]

SpfResult = Literal["none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"]

LOOKUPS_MAX: Final = 10
VOIDS_MAX: Final = 2
MX_HOSTS_MAX: Final = 10
POINTERS_MAX: Final = 10
LABEL_MAX: Final = 63
NAME_MAX: Final = 253

_RESULTS: Final[dict[str, SpfResult]] = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}


@dataclass(frozen=True, slots=True)
class SpfVerdict:
    """The result of check_host.

    Attributes:
        result: As §2.6 names them.
        reason: On one line, why there is no other result.
        term: The directive that matched, as written in the domain's own record; None when none did.
        path: The domains whose records led there, the one asked for first.
        explanation: With fail: what the domain has to say of it (§6.2), not to be trusted.
        lookups: Terms that asked the DNS.
    """

    result: SpfResult
    reason: str
    term: str | None = None
    path: tuple[str, ...] = ()
    explanation: str | None = None
    lookups: int = 0


async def check_host(
    resolver: Resolver,
    address: str,
    domain: str,
    sender: str,
    helo: str,
    *,
    receiver: str = "unknown",
    now: Callable[[], float] = time.time,
) -> SpfVerdict:
    """Evaluate the SPF policy of a domain for one client. Errors of the DNS and of the policy are results.

    Args:
        resolver: Asks the DNS.
        address: The IPv4 or IPv6 address of the client.
        domain: Whose policy is asked for: the domain of MAIL FROM, or of HELO.
        sender: MAIL FROM; a missing local part counts as `postmaster` (§4.3).
        helo: What the client called itself.
        receiver: The macro r.
        now: The macro t, in seconds since 1970.

    Raises:
        ValueError: `address` is not an IP address.
    """
    client = unwrap(ip_address(address))
    domain = domain.lower().removesuffix(".")
    local, _, sender_domain = sender.rpartition("@")
    local = local or "postmaster"
    values = {
        **client_macros(str(client), client.version, client.exploded),
        "s": f"{local}@{sender_domain}",
        "l": local,
        "o": sender_domain,
        "h": helo,
        "r": receiver,
        "t": str(int(now())),
    }
    if not _is_mail_domain(domain):
        return SpfVerdict("none", f"{printable(domain)!r} is not the name of a domain")
    evaluation = _Evaluation(resolver, client, values)
    try:
        decision = await evaluation.decide(domain)
        explanation = await evaluation.explain(decision) if decision and decision.result == "fail" else None
    except _Permanent as error:
        return SpfVerdict("permerror", str(error), error.term, lookups=evaluation.lookups)
    except TemporaryDnsError as error:
        return SpfVerdict("temperror", str(error), lookups=evaluation.lookups)
    if decision is None:
        return SpfVerdict("none", f"{domain} has no SPF record")
    reason = f"{decision.term} matches" if decision.term else "nothing matches"
    return SpfVerdict(decision.result, reason, decision.term, decision.path, explanation, evaluation.lookups)


def _is_mail_domain(domain: str) -> bool:
    """Whether a policy can be asked for: two labels or more, none of them empty or too long (§4.3)."""
    labels = domain.split(".")
    return len(labels) > 1 and len(domain) <= NAME_MAX and all(0 < len(label) <= LABEL_MAX for label in labels)


class _Permanent(Exception):
    """The policy cannot be interpreted. Its owner has to mend it."""

    def __init__(self, reason: str, term: str | None = None) -> None:
        super().__init__(printable(reason))
        self.term = term


@dataclass(frozen=True, slots=True)
class _Decision:
    """What one record says; `record` stands at `domain` and is the one whose exp counts."""

    result: SpfResult
    term: str | None
    domain: str
    record: SpfRecord
    path: tuple[str, ...]


class _Evaluation:
    """One run of check_host, with its counters."""

    __slots__ = ("_client", "_names", "_rdtype", "_resolver", "_values", "_voids", "lookups")

    def __init__(self, resolver: Resolver, client: IPv4Address | IPv6Address, values: dict[str, str]) -> None:
        self._resolver, self._client, self._values = resolver, client, values
        self._rdtype: Rdtype = "A" if client.version == 4 else "AAAA"  # noqa: PLR2004 - IPv4
        self._names: tuple[str, ...] | None = None
        self._voids = 0
        self.lookups = 0

    async def decide(self, domain: str, path: tuple[str, ...] = ()) -> _Decision | None:
        """Evaluate the record of a domain; None when it has none."""
        path = (*path, domain)
        record = await self._record(domain)
        if record is None:
            return None
        for directive in record.reached:
            inner = await self._matches(directive, domain, path)
            if inner is not None:
                return _Decision(_RESULTS[directive.qualifier], directive.text, domain, record, inner)
        if record.redirect is None:
            return _Decision("neutral", None, domain, record, path)
        self._count(record.redirect.text)
        target = await self._name(record.redirect.value, domain)
        decision = await self.decide(target, path)
        if decision is None:
            raise _Permanent(f"{record.redirect.text} leads to no SPF record", record.redirect.text)
        return decision

    async def explain(self, decision: _Decision) -> str | None:
        """The text that exp leads to, or None when there is none; an error in it never changes the result (§6.2)."""
        if decision.record.exp is None:
            return None
        try:
            name = await self._name(decision.record.exp.value, decision.domain)
            texts = (await self._resolver.query(name, "TXT")).records
            if len(texts) != 1 or not texts[0].isascii():
                return None
            check_macros(texts[0], explanation=True)
            return expand(texts[0], await self._values_for(texts[0], decision.domain))
        except (TemporaryDnsError, BadMacro):
            return None

    async def _record(self, domain: str) -> SpfRecord | None:
        answer = await self._resolver.query(domain, "TXT")
        records = [text for text in answer.records if is_spf(text)]
        if not records:
            return None
        if len(records) > 1:
            raise _Permanent(f"{domain} has {len(records)} SPF records")
        record = parse_spf(records[0])
        for issue in record.issues:
            raise _Permanent(f"{domain}: {issue.term}: {issue.reason}", issue.term)
        return record

    async def _matches(self, directive: Directive, domain: str, path: tuple[str, ...]) -> tuple[str, ...] | None:
        """The path to what matched, or None."""
        match directive.mechanism:
            case "all":
                matched = True
            case "ip4" | "ip6":
                network = directive.network
                matched = network is not None and network.version == self._client.version and self._client in network
            case "include":
                return await self._include(directive, domain, path)
            case "a":
                matched = await self._has_address(await self._target(directive, domain), directive)
            case "mx":
                matched = await self._is_exchange(await self._target(directive, domain), directive)
            case "ptr":
                matched = await self._is_named(await self._target(directive, domain))
            case "exists":
                matched = bool((await self._ask(await self._target(directive, domain), "A")).records)
        return path if matched else None

    async def _target(self, directive: Directive, domain: str) -> str:
        self._count(directive.text)
        return await self._name(directive.target or "%{d}", domain)

    async def _include(self, directive: Directive, domain: str, path: tuple[str, ...]) -> tuple[str, ...] | None:
        decision = await self.decide(await self._target(directive, domain), path)
        if decision is None:
            raise _Permanent(f"{directive.text} leads to no SPF record", directive.text)
        return decision.path if decision.result == "pass" else None

    async def _has_address(self, name: str, directive: Directive) -> bool:
        return self._covers(directive, await self._ask(name, self._rdtype))

    async def _is_exchange(self, name: str, directive: Directive) -> bool:
        answer = await self._ask(name, "MX")
        hosts = [host for _, host in exchanges(answer) if host]
        if len(hosts) > MX_HOSTS_MAX:
            raise _Permanent(f"{name} has {len(hosts)} mail exchanges", directive.text)
        for host in hosts:
            if self._covers(directive, await self._resolver.query(host, self._rdtype)):
                return True
        return False

    def _covers(self, directive: Directive, answer: Answer) -> bool:
        length = directive.prefixes[self._rdtype == "AAAA"]
        return any(self._client in ip_network((record, length), strict=False) for record in answer.records)

    async def _is_named(self, target: str) -> bool:
        return any(name == target or name.endswith(f".{target}") for name in await self._validated_names(counted=True))

    async def _validated_names(self, *, counted: bool = False) -> tuple[str, ...]:
        """The names of the client that resolve back to it, of the first ten; an error of the DNS hides a name (§5.5)."""
        if self._names is None:
            try:
                answer = await self._resolver.query(self._client.reverse_pointer, "PTR")
            except TemporaryDnsError:
                return ()
            if counted and not answer.records:
                self._void(answer)
            self._names = tuple([name for name in answer.records[:POINTERS_MAX] if await self._resolves_back(name)])
        return self._names

    async def _resolves_back(self, name: str) -> bool:
        try:
            answer = await self._resolver.query(name, self._rdtype)
        except TemporaryDnsError:
            return False
        return any(ip_address(record) == self._client for record in answer.records)

    async def _ask(self, name: str, rdtype: Rdtype) -> Answer:
        answer = await self._resolver.query(name, rdtype)
        if not answer.records:
            self._void(answer)
        return answer

    def _void(self, answer: Answer) -> None:
        self._voids += 1
        if self._voids > VOIDS_MAX:
            raise _Permanent(f"more than {VOIDS_MAX} lookups find nothing, the last at {answer.name} {answer.rdtype}")

    def _count(self, term: str) -> None:
        self.lookups += 1
        if self.lookups > LOOKUPS_MAX:
            raise _Permanent(f"more than {LOOKUPS_MAX} lookups, the last for {term}", term)

    async def _name(self, spec: str, domain: str) -> str:
        return expand_name(spec, await self._values_for(spec, domain)) or ""

    async def _values_for(self, text: str, domain: str) -> dict[str, str]:
        values = self._values | {"d": domain}
        if "p" in letters_of(text):
            values["p"] = _best(await self._validated_names(), domain)
        return values


def _best(names: tuple[str, ...], domain: str) -> str:
    """The macro p (§7.3): the domain itself if it is among the names, else a name below it, else any."""
    below = [name for name in names if name.endswith(f".{domain}")]
    return domain if domain in names else next(iter((*below, *names)), "unknown")
