"""What the DNS auditor found. Aggregate: the domain."""

from typing import ClassVar, Literal
from uuid import NAMESPACE_DNS, UUID, uuid5

from pydantic import Field

from berth_events.contracts import topics
from berth_events.contracts.base import DomainName, Event, Identifier, Text, Timestamp, Value

__all__ = [
    "BulkSenderCheck",
    "CheckState",
    "DkimCheck",
    "DmarcCheck",
    "DnssecCheck",
    "DomainAudited",
    "DomainEvent",
    "DomainHealthChanged",
    "DomainRecord",
    "Finding",
    "MxCheck",
    "MxRecord",
    "RecordChange",
    "Registration",
    "SenderCheck",
    "SpfCheck",
    "SpfTerm",
    "TransportCheck",
    "WebCheck",
    "domain_id",
]

#: A temporary DNS error is `unknown`, never `fail`.
CheckState = Literal["pass", "fail", "unknown"]


def domain_id(domain: str) -> UUID:
    """The aggregate id of a domain, the same everywhere: UUIDv5 of the name (RFC 9562 §5.5)."""
    return uuid5(NAMESPACE_DNS, domain.lower().rstrip("."))


class RecordChange(Value):
    """A change to one name of the DNS: some of its records go, one comes; records that are not named stay."""

    name: Text = Field(description="the name, without a final dot")
    type: Text = Field(description="the type of the records, for example TXT")
    value: Text | None = Field(
        default=None,
        description="the record to publish: of TXT the whole text, of MX `10 mx.example.com`; null: none, only remove",
    )
    replaces: tuple[Text, ...] = Field(default=(), description="the records to remove, as they are published now")


class Finding(Value):
    """One thing that was noticed. Identified by (code, subject); text is rendered from the code, never stored."""

    code: str = Field(description="stable code, for example SPF_TOO_MANY_LOOKUPS; new codes may come at any time")
    subject: Text = Field(description="the name or term it is about")
    severity: Literal["critical", "high", "medium", "low", "info", "unknown"] = Field(
        description="critical: mail fails or the domain can be abused now; unknown: a question could not be answered"
    )
    evidence: tuple[Text, ...] = Field(default=(), description="names asked, response codes, raw strings")
    publish: tuple[RecordChange, ...] = Field(
        default=(),
        description="what to change in the DNS so that it goes away; empty: what to publish cannot be known from the DNS",
    )


class MxRecord(Value):
    """One address of one mail exchange."""

    host: Text = Field(description="name of the mail exchange")
    address: Text = Field(description="one IPv4 or IPv6 address of it")
    preference: int = Field(ge=0, le=65535, description="the lower, the earlier it is tried (RFC 5321 section 5.1)")


class MxCheck(Value):
    """Where the domain takes mail: one row per address, ordered by preference."""

    state: CheckState = Field(description="pass: the domain takes mail; unknown: the DNS gave no definite answer")
    records: tuple[MxRecord, ...] = Field(default=(), description="by preference; empty when there is no MX record")


class SpfTerm(Value):
    """One term of the domain's SPF record, or of one that it leads to, that asks the DNS."""

    depth: int = Field(ge=0, description="0: in the domain's own record; 1: in one that it includes; and so on")
    domain: Text = Field(description="whose record it stands in")
    term: Text = Field(description="as written, for example include:_spf.example.net")
    lookups: int = Field(ge=1, description="how many lookups it stands for, itself and all that it leads to")


class SpfCheck(Value):
    """The domain's SPF record (RFC 7208)."""

    state: CheckState = Field(
        description="pass: exactly one record, valid, within the limits; unknown: no definite answer"
    )
    value: Text | None = Field(default=None, description="the record, its strings joined without spaces; null: none")
    lookups: int | None = Field(default=None, ge=0, description="terms that ask the DNS; more than 10 is an error")
    void_lookups: int | None = Field(default=None, ge=0, description="of these, those without an answer; at most 2")
    tree: tuple[SpfTerm, ...] = Field(default=(), description="where the lookups come from, in the order of evaluation")


class DkimCheck(Value):
    """The first selector with a usable key, or the best that was found (RFC 6376)."""

    state: CheckState = Field(description="pass: a usable key; unknown: no selector is known, or no definite answer")
    selector: Text | None = Field(default=None, description="the selector under _domainkey; null: none was found")
    value: Text | None = Field(
        default=None, description="the key record; empty when a verified message proved the selector without it"
    )


class DmarcCheck(Value):
    """The policy that applies to the domain after the tree walk (RFC 9989)."""

    state: CheckState = Field(description="pass: exactly one well-formed record applies; unknown: no definite answer")
    value: Text | None = Field(default=None, description="the record that applies; null: none")
    policy: Literal["none", "quarantine", "reject"] | None = Field(
        default=None, description="the effective policy for the domain; null: no record applies"
    )
    subdomain_policy: Literal["none", "quarantine", "reject"] | None = Field(
        default=None, description="the effective policy for names below the domain"
    )
    missing_policy: Literal["none", "quarantine", "reject"] | None = Field(
        default=None, description="the effective policy for names below the domain that do not exist"
    )
    location: Text | None = Field(default=None, description="the domain whose record applies")
    organizational_domain: Text | None = Field(
        default=None, description="by the tree walk, with which alignment is decided (RFC 9989)"
    )
    registrable_domain: Text | None = Field(
        default=None, description="by the public suffix list, with which older receivers decide it (RFC 7489)"
    )


class SenderCheck(Value):
    """What receivers make of mail of the domain from one address."""

    state: CheckState = Field(
        description="pass: SPF passes in alignment and the reverse DNS is confirmed; unknown: no definite answer"
    )
    address: Text = Field(description="the IP address that sends")
    reverse_dns: Text | None = Field(
        default=None, description="a name of the address that resolves back to it; null: none"
    )
    spf: Literal["none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"] = Field(
        description="the result of check_host (RFC 7208 section 2.6)"
    )
    spf_domain: Text = Field(description="the domain of the return path, whose policy was asked for")
    spf_term: Text | None = Field(default=None, description="the term that matched; null: none did")
    aligned: bool | None = Field(
        default=None, description="whether that domain belongs to the organization of the From address; null: not known"
    )


class Registration(Value):
    """What the registry says of the registered domain (RDAP, RFC 9083)."""

    created_at: Timestamp | None = Field(default=None, description="when it was registered")
    expires_at: Timestamp | None = Field(default=None, description="when the registration ends")


class WebCheck(Value):
    """Whether the domain answers as a web site; null: not asked, or no definite answer."""

    http: bool | None = Field(default=None, description="http://domain/ answers, with whatever status")
    https: bool | None = Field(default=None, description="https://domain/ answers with a valid certificate")


class TransportCheck(Value):
    """What is asked of senders about TLS on the way to the domain's mail exchanges."""

    mta_sts: Literal["enforce", "testing", "none"] | None = Field(
        default=None, description="the mode of the MTA-STS policy (RFC 8461); null: none in force, or not known"
    )
    tls_rpt: Text | None = Field(default=None, description="the TLSRPT record (RFC 8460); null: none, or not known")
    dane: bool | None = Field(
        default=None,
        description="whether every mail exchange has a usable TLSA record in a signed zone (RFC 7672); null: not known",
    )


class DnssecCheck(Value):
    """Whether the domain's zone is signed, and the signatures hold (RFC 4035)."""

    state: CheckState = Field(description="pass: unsigned, or signed and valid; fail: validating resolvers refuse it")
    signed: bool | None = Field(default=None, description="whether the parent zone has a DS record; null: not known")


class BulkSenderCheck(Value):
    """Whether what the DNS shows meets the rules for senders of bulk mail; null: not known."""

    google: bool | None = Field(default=None, description="of Google, since 2024")
    yahoo: bool | None = Field(default=None, description="of Yahoo, since 2024")
    microsoft: bool | None = Field(default=None, description="of Microsoft, since 2025")


class DomainRecord(Value):
    """Everything that one audit says of a domain."""

    mx: MxCheck = Field(description="where the domain takes mail")
    spf: SpfCheck = Field(description="who may send for the domain")
    dkim: DkimCheck = Field(description="how its mail is signed")
    dmarc: DmarcCheck = Field(description="what receivers are told to do with mail that fails both")
    senders: tuple[SenderCheck, ...] = Field(default=(), description="the addresses known to send for the domain")
    registration: Registration | None = Field(default=None, description="of the registered domain; null: not asked")
    web: WebCheck | None = Field(default=None, description="null: not asked")
    transport: TransportCheck | None = Field(default=None, description="TLS between mail servers; null: not asked")
    dnssec: DnssecCheck | None = Field(default=None, description="signatures of the zone; null: not asked")
    name_servers: tuple[Text, ...] = Field(
        default=(), description="of the zone that the domain is in; empty: not known"
    )
    bulk_sender: BulkSenderCheck | None = Field(
        default=None, description="readiness for the rules of large mailbox providers; null: not asked"
    )
    health_score: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="100: nothing to mend; null: made before scores, or nothing was answered",
    )
    findings: tuple[Finding, ...] = Field(default=(), description="everything that was noticed, whatever the check")


class DomainEvent(Event, abstract=True):
    """An event of one domain."""

    topic: ClassVar[str] = topics.DOMAINS
    key_field: ClassVar[str] = "domain_id"

    domain_id: Identifier = Field(description="UUIDv5 of the domain name in the DNS name space; the key of the record")
    domain: DomainName = Field(description="the domain, in A-label form and lower case, without a final dot")


class DomainAudited(DomainEvent):
    """An audit finished. A check that is unknown keeps its last definite answer in `definite`."""

    audited_at: Timestamp = Field(description="when the audit finished")
    duration_ms: float = Field(ge=0, description="how long it took, in milliseconds")
    record: DomainRecord = Field(description="what this audit saw")
    definite: DomainRecord = Field(description="`record`, with each unknown check replaced by its last definite answer")


class DomainHealthChanged(DomainEvent):
    """Findings came or went since the last audit."""

    raised: tuple[Finding, ...] = Field(description="findings that the audit before did not have")
    cleared: tuple[Finding, ...] = Field(description="findings of the audit before that are gone")
