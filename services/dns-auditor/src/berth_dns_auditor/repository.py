"""The auditor's tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final
from uuid import UUID

from berth_dns_auditor.checks.known import Known, Sender
from berth_events.contracts import Checkup, DomainRecord, domain_id

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection

__all__ = [
    "LastAudit",
    "add_account",
    "domain_of",
    "is_asked_for",
    "is_needed",
    "known_of",
    "last_audit",
    "remove_account",
    "save_audit",
    "save_mail",
    "settled",
]

#: Of what messages showed of a domain the last so many count.
_MAILS_MAX: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class LastAudit:
    """What is known of a domain.

    Attributes:
        record: What the last audit found.
        definite: The same with the last definite answer in place of each open one.
        incomplete: How many audits in a row left a question open.
    """

    domain: str
    audited_at: datetime
    record: DomainRecord
    definite: DomainRecord
    incomplete: int


async def add_account(connection: "Connection", account_id: UUID, domain: str, organization_id: UUID) -> bool:
    """An account needs the domain; whether its organization comes to one that another has had to itself."""
    newcomer: bool = await connection.fetchval(
        """SELECT count(DISTINCT coalesce(organization_id, account_id)) = 1
                  AND NOT bool_or(organization_id IS NOT DISTINCT FROM $3)
             FROM domain_account WHERE domain_id = $1 AND account_id <> $2""",
        domain_id(domain),
        account_id,
        organization_id,
    )
    await connection.execute(
        """INSERT INTO domain_account (account_id, domain_id, domain, organization_id) VALUES ($1, $2, $3, $4)
           ON CONFLICT (account_id) DO UPDATE
              SET domain_id = excluded.domain_id, domain = excluded.domain, organization_id = excluded.organization_id""",
        account_id,
        domain_id(domain),
        domain,
        organization_id,
    )
    return newcomer


async def remove_account(connection: "Connection", account_id: UUID) -> None:
    """An account is gone, and what its messages showed."""
    await connection.execute("DELETE FROM domain_account WHERE account_id = $1", account_id)
    await connection.execute("DELETE FROM domain_mail WHERE account_id = $1", account_id)


async def domain_of(connection: "Connection", account_id: UUID) -> str | None:
    """The domain that an account needs, or None."""
    domain: str | None = await connection.fetchval(
        """SELECT coalesce(account.domain, audited.domain)
             FROM domain_account account LEFT JOIN domain audited USING (domain_id) WHERE account_id = $1""",
        account_id,
    )
    return domain


async def save_mail(
    connection: "Connection", account_id: UUID, organization_id: UUID, domain: UUID, checkup: Checkup
) -> bool:
    """Keep what a message of an account showed; whether no message of its organization had shown that of the domain."""
    signer = checkup.dkim_domain and checkup.dkim_domain.lower()
    shown = (signer, checkup.dkim_selector, _address(checkup.sending_ip))
    if not any(shown):
        return False
    known: bool = await connection.fetchval(
        """SELECT EXISTS (SELECT FROM domain_mail
                           WHERE domain_id = $1 AND dkim_domain IS NOT DISTINCT FROM $2
                             AND dkim_selector IS NOT DISTINCT FROM $3 AND sending_ip IS NOT DISTINCT FROM $4
                             AND organization_id IS NOT DISTINCT FROM $5)""",
        domain,
        *shown,
        organization_id,
    )
    await connection.execute(
        "UPDATE domain_account SET organization_id = $2 WHERE account_id = $1 AND organization_id IS NULL",
        account_id,
        organization_id,
    )
    await connection.execute(
        """INSERT INTO domain_mail (account_id, domain_id, seen_at, dkim_domain, dkim_selector, sending_ip,
                                    organization_id)
           VALUES ($1, $2, $3, $4, $5, $6, $7)
           ON CONFLICT (account_id) DO UPDATE
              SET domain_id = excluded.domain_id, seen_at = excluded.seen_at, dkim_domain = excluded.dkim_domain,
                  dkim_selector = excluded.dkim_selector, sending_ip = excluded.sending_ip,
                  organization_id = excluded.organization_id""",
        account_id,
        domain,
        checkup.started_at,
        *shown,
        organization_id,
    )
    return not known


def _address(text: str | None) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text) if text else None
    except ValueError:  # the mailbox told it in a way of its own
        return None


async def known_of(connection: "Connection", domain_key: UUID, domain: str) -> Known:
    """What the last messages of the domain's accounts showed.

    A selector is only a hint, and never proven: whoever reads a mailbox of the domain on a server of his own could say
    anything of it, and the audit is everybody's. An address counts, and who signs mail from it, when messages of two
    organizations showed it, or when one organization has all the accounts of the domain, so that it speaks to itself.
    """
    rows = await connection.fetch(
        """SELECT mail.dkim_domain AS signer, mail.dkim_selector AS selector, host(mail.sending_ip) AS address,
                  max(mail.seen_at) AS seen,
                  count(DISTINCT mail.organization_id) > 1
                      OR (SELECT count(DISTINCT coalesce(organization_id, account_id)) < 2
                            FROM domain_account WHERE domain_id = $1) AS counts
             FROM domain_mail mail WHERE mail.domain_id = $1
            GROUP BY 1, 2, 3 ORDER BY counts DESC, seen DESC, 1, 2, 3 LIMIT $2""",
        domain_key,
        _MAILS_MAX,
    )
    selectors = [row["selector"] for row in rows if row["selector"] and row["signer"] == domain]
    signers: dict[str, list[str]] = {}
    for row in rows:
        if row["address"] and row["counts"]:
            signers.setdefault(row["address"], []).extend(filter(None, [row["signer"]]))
    return Known(
        selectors=tuple(dict.fromkeys(selectors)),
        senders=tuple(Sender(address, signed_by=tuple(dict.fromkeys(names))) for address, names in signers.items()),
    )


async def is_asked_for(connection: "Connection", domain: UUID) -> bool:
    """Whether somebody waits for another audit of the domain."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM work WHERE key = $1 AND state = 'ready' AND payload ? 'asked_for')", domain
        )
    )


async def is_needed(connection: "Connection", domain: UUID) -> bool:
    """Whether an account needs the domain."""
    return bool(await connection.fetchval("SELECT EXISTS (SELECT 1 FROM domain_account WHERE domain_id = $1)", domain))


async def settled(connection: "Connection", domains: Sequence[UUID], *, since: datetime, now: datetime) -> set[UUID]:
    """Those of the domains that were audited since a time, are being audited, or are due."""
    rows = await connection.fetch(
        """SELECT domain_id FROM domain WHERE domain_id = ANY($1::uuid[]) AND audited_at > $2
           UNION
           SELECT key FROM work
            WHERE key = ANY($1::uuid[]) AND (state = 'leased' OR (state = 'ready' AND run_at <= $3))""",
        domains,
        since,
        now,
    )
    return {row["domain_id"] for row in rows}


async def last_audit(connection: "Connection", domain: UUID) -> LastAudit | None:
    """The last audit of a domain, or None."""
    row = await connection.fetchrow(
        "SELECT domain, audited_at, record, definite, incomplete FROM domain WHERE domain_id = $1", domain
    )
    if row is None:
        return None
    return LastAudit(
        domain=row["domain"],
        audited_at=row["audited_at"],
        record=DomainRecord.model_validate(row["record"]),
        definite=DomainRecord.model_validate(row["definite"]),
        incomplete=row["incomplete"],
    )


async def save_audit(connection: "Connection", audit: LastAudit) -> None:
    """Remember an audit in place of the one before."""
    await connection.execute(
        """INSERT INTO domain (domain_id, domain, audited_at, record, definite, incomplete)
           VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (domain_id) DO UPDATE
              SET audited_at = excluded.audited_at, record = excluded.record, definite = excluded.definite,
                  incomplete = excluded.incomplete""",
        domain_id(audit.domain),
        audit.domain,
        audit.audited_at,
        audit.record.model_dump(mode="json"),
        audit.definite.model_dump(mode="json"),
        audit.incomplete,
    )
