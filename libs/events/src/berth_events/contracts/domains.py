"""What the DNS auditor found. Aggregate: the domain."""

from typing import ClassVar, Literal
from uuid import NAMESPACE_DNS, UUID, uuid5

from pydantic import Field

from berth_events.contracts import topics
from berth_events.contracts.base import DomainName, Event, Identifier, Timestamp, Value

__all__ = [
    "CheckState",
    "DkimCheck",
    "DmarcCheck",
    "DomainAudited",
    "DomainHealthChanged",
    "DomainRecord",
    "Finding",
    "MxCheck",
    "MxRecord",
    "SpfCheck",
    "domain_id",
]

#: A temporary DNS error is `unknown`, never `fail`.
CheckState = Literal["pass", "fail", "unknown"]


def domain_id(domain: str) -> UUID:
    """The aggregate id of a domain, the same everywhere: UUIDv5 of the name (RFC 9562 §5.5)."""
    return uuid5(NAMESPACE_DNS, domain.lower().rstrip("."))


class Finding(Value):
    """One thing that was noticed. Identified by (code, subject); text is rendered from the code, never stored."""

    code: str
    subject: str = Field(description="the name or term it is about")
    severity: Literal["critical", "high", "medium", "low", "info", "unknown"]
    evidence: tuple[str, ...] = Field(default=(), description="names asked, response codes, raw strings")


class MxRecord(Value):
    """One address of one mail exchange."""

    host: str
    address: str
    preference: int


class MxCheck(Value):
    """Where the domain takes mail: one row per address, ordered by preference."""

    state: CheckState
    records: tuple[MxRecord, ...] = ()


class SpfCheck(Value):
    """The domain's SPF record (RFC 7208); `value` is the record joined without spaces."""

    state: CheckState
    value: str | None = None
    lookups: int | None = None
    void_lookups: int | None = None


class DkimCheck(Value):
    """The first selector with a usable key, or the best that was found (RFC 6376)."""

    state: CheckState
    selector: str | None = None
    value: str | None = None


class DmarcCheck(Value):
    """The policy that applies to the domain after the tree walk (RFC 9989)."""

    state: CheckState
    value: str | None = None
    policy: Literal["none", "quarantine", "reject"] | None = None
    location: str | None = Field(default=None, description="the domain whose record applies")


class DomainRecord(Value):
    """Everything that one audit says of a domain."""

    mx: MxCheck
    spf: SpfCheck
    dkim: DkimCheck
    dmarc: DmarcCheck
    findings: tuple[Finding, ...] = ()


class DomainEvent(Event, abstract=True):
    """An event of one domain."""

    topic: ClassVar[str] = topics.DOMAINS
    key_field: ClassVar[str] = "domain_id"

    domain_id: Identifier
    domain: DomainName


class DomainAudited(DomainEvent):
    """An audit finished. A check that is unknown keeps its last definite answer in `definite`."""

    audited_at: Timestamp
    duration_ms: float = Field(ge=0)
    record: DomainRecord
    definite: DomainRecord = Field(description="`record`, with each unknown check replaced by its last definite answer")


class DomainHealthChanged(DomainEvent):
    """Findings came or went since the last audit."""

    raised: tuple[Finding, ...]
    cleared: tuple[Finding, ...]
