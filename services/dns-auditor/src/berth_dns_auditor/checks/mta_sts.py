"""MTA-STS (RFC 8461): the record, the policy behind it, and whether the policy knows the mail exchanges."""

import re
from dataclasses import dataclass
from typing import Final, Literal, Protocol, cast

from berth_dns_auditor.checks.outcome import Outcome, ask
from berth_dns_auditor.checks.tag_list import parse_tags
from berth_dns_auditor.findings import Severity, change, finding, tempfail
from berth_dns_auditor.resolver import Answer, Resolver, TemporaryDnsError, exchanges
from berth_events.contracts import Finding

__all__ = ["MalformedPolicy", "Mode", "Policies", "StsPolicy", "Unreachable", "check_mta_sts", "parse_policy"]

Mode = Literal["enforce", "testing", "none"]

#: A year, and some; more is not allowed (§3.2).
MAX_AGE_MAX: Final = 31_557_600
#: For a record of which no id can be kept.
_ID: Final = re.compile(r"[A-Za-z0-9]{1,32}")
_NOT_ID: Final = re.compile(r"[^A-Za-z0-9]+")
_PATTERN: Final = re.compile(r"(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """A policy that senders accept; `mx` are names, or `*.` and a name."""

    mode: Mode
    max_age: int
    mx: tuple[str, ...]

    def covers(self, host: str) -> bool:
        """Whether a mail exchange is one of the policy's (§4.1): a star stands for one label."""
        return any(host == name or host.partition(".")[2] == name.removeprefix("*.") != name for name in self.mx)


class MalformedPolicy(ValueError):
    """The policy is not what RFC 8461 §3.2 wants. Serve it with version, mode, max_age and the mail exchanges."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Why there is no policy; `passing` when that may be over soon (a time-out, an error of the server)."""

    reason: str
    passing: bool


class Policies(Protocol):
    """Fetches policies."""

    async def policy(self, domain: str, id_: str) -> str | Unreachable:
        """The text at https://mta-sts.<domain>/.well-known/mta-sts.txt, for the id that the record has now."""
        ...


async def check_mta_sts(resolver: Resolver, domain: str, policies: Policies | None) -> Outcome[Mode | None]:
    """Examine record and policy; what comes out is the mode, if a policy is in force.

    Args:
        resolver: Asks the DNS.
        domain: The domain.
        policies: Fetches the policy; None leaves it out.
    """
    name = f"_mta-sts.{domain}"
    reply = await ask(resolver, name, "TXT")
    if isinstance(reply, TemporaryDnsError):
        return Outcome(None, (tempfail(reply),))
    alike = [text for text in reply.records if "stsv1" in text.lower()]
    if not alike:
        return Outcome(None, (finding("MTASTS_MISSING", domain, reply.evidence),))
    ids = {text: _id(text) for text in alike}
    id_ = ids[alike[0]]
    if len(alike) > 1 or id_ is None:
        return Outcome(None, (_invalid(reply, domain, alike, ids),))
    return await _behind(resolver, domain, id_, policies) if policies else Outcome(None)


async def _behind(resolver: Resolver, domain: str, id_: str, policies: Policies) -> Outcome[Mode | None]:
    """What the policy behind a record says."""
    text = await policies.policy(domain, id_)
    if isinstance(text, Unreachable):
        severity: Severity | None = "unknown" if text.passing else None
        return Outcome(None, (finding("MTASTS_POLICY_UNREACHABLE", domain, text.reason, severity=severity),))
    try:
        policy = parse_policy(text)
    except MalformedPolicy as error:
        return Outcome(None, (finding("MTASTS_POLICY_INVALID", domain, str(error), text),))
    return Outcome(policy.mode, tuple(await _content(resolver, domain, policy)))


def _id(text: str) -> str | None:
    tags = parse_tags(text).tags
    if not text.startswith("v=STSv1") or [(tag.name, tag.value) for tag in tags[:1]] != [("v", "STSv1")]:
        return None
    ids = [tag.value for tag in tags if tag.name == "id"]
    return ids[0] if len(ids) == 1 and _ID.fullmatch(ids[0]) else None


def _invalid(reply: Answer, domain: str, alike: list[str], ids: dict[str, str | None]) -> Finding:
    kept = next((text for text in alike if ids[text]), None)
    if kept:
        mend = change(reply.name, "TXT", None, *(text for text in alike if text != kept))
    else:
        given = next((tag.value for tag in parse_tags(alike[0]).tags if tag.name == "id"), "")
        mend = change(reply.name, "TXT", f"v=STSv1; id={_NOT_ID.sub('', given)[:32] or '1'}", *alike)
    return finding("MTASTS_RECORD_INVALID", domain, reply.evidence, *alike, publish=(mend,))


def parse_policy(text: str) -> StsPolicy:
    """Read a policy (§3.2).

    Raises:
        MalformedPolicy: senders would not accept it.
    """
    fields: dict[str, str] = {}
    mx: list[str] = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not colon:
            raise MalformedPolicy(f"a line without a colon: {line}")
        if key == "mx":
            mx.append(value.lower().removesuffix("."))
        else:
            fields.setdefault(key, value)
    if fields.get("version") != "STSv1":
        raise MalformedPolicy("version is not STSv1")
    mode, max_age = fields.get("mode", ""), fields.get("max_age", "")
    if mode not in {"enforce", "testing", "none"}:
        raise MalformedPolicy(f"mode is not enforce, testing or none: {mode or 'missing'}")
    if not (max_age.isascii() and max_age.isdigit() and len(max_age) <= 10 and int(max_age) <= MAX_AGE_MAX):  # noqa: PLR2004
        raise MalformedPolicy(f"max_age is not a number of seconds up to {MAX_AGE_MAX}: {max_age or 'missing'}")
    if mode != "none" and not mx:
        raise MalformedPolicy("no mx line")
    if bad := next((name for name in mx if not _PATTERN.fullmatch(name)), None):
        raise MalformedPolicy(f"not the name of a mail exchange: {bad}")
    return StsPolicy(cast("Mode", mode), int(max_age), tuple(mx))


async def _content(resolver: Resolver, domain: str, policy: StsPolicy) -> list[Finding]:
    if policy.mode == "none":
        return [finding("MTASTS_MODE_NONE", domain)]
    found = [finding("MTASTS_MODE_TESTING", domain)] if policy.mode == "testing" else []
    reply = await ask(resolver, domain, "MX")
    if isinstance(reply, TemporaryDnsError):
        return [*found, tempfail(reply)]
    severity: Severity = "critical" if policy.mode == "enforce" else "medium"
    for host in dict.fromkeys(host for _, host in exchanges(reply) if host and not policy.covers(host)):
        evidence = (f"mx: {host} is to be added to", *policy.mx)
        found.append(finding("MTASTS_MX_NOT_COVERED", host, *evidence, severity=severity))
    return found
