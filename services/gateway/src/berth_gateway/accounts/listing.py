"""Which accounts of a project a list shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from berth_events.contracts import OnFailure
from berth_gateway.accounts.views import AccountView

__all__ = ["EVERY", "PAGE", "AccountFilter", "Listed"]

TagMode = Literal["any", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFilter:
    """Which accounts of a project; None does not ask.

    Attributes:
        search: part of address or name, whatever its case.
        username: part of the SMTP user name.
        tags: names; `tag_mode` says whether one or all of them.
        oauth: signs in through an email workspace, or not.
        in_campaign: belongs to a campaign of the caller's, or not.
        min_health: of the domain, as `Audit.health`; a domain that was not audited yet is not found.
        max_health: likewise.
    """

    statuses: Sequence[str] | None = None
    providers: Sequence[str] | None = None
    domain: str | None = None
    seat_kind: str | None = None
    suspended: bool | None = None
    workspace_id: UUID | None = None
    import_id: UUID | None = None
    search: str | None = None
    username: str | None = None
    tags: Sequence[str] | None = None
    tag_mode: TagMode = "any"
    untagged: bool | None = None
    imap_works: bool | None = None
    smtp_works: bool | None = None
    client_number: int | None = None
    warmup_enabled: bool | None = None
    sending_enabled: bool | None = None
    oauth: bool | None = None
    in_campaign: bool | None = None
    on_failure: OnFailure | None = None
    warmup_paused: bool | None = None
    min_health: int | None = None
    max_health: int | None = None


EVERY: Final = AccountFilter()

PAGE: Final = """
WITH matching AS NOT MATERIALIZED (
    SELECT a.account_id, a.number
      FROM account a
      LEFT JOIN verification v ON v.account_id = a.account_id AND v.credential_id = a.credential_id
     WHERE a.project_id = $1 AND a.removed_at IS NULL
       AND ($6::text[] IS NULL OR coalesce(v.status, 'pending') = ANY($6))
       AND ($7::text[] IS NULL OR a.provider = ANY($7))
       AND ($8::text IS NULL OR a.domain = $8)
       AND ($9::text IS NULL OR a.seat_kind = $9)
       AND ($10::boolean IS NULL OR a.suspended = $10)
       AND ($11::uuid IS NULL OR a.workspace_id = $11)
       AND ($12::uuid IS NULL OR a.import_id = $12)
       AND ($13::text IS NULL OR strpos(a.address_key, $13) > 0 OR strpos(lower(a.first_name || ' ' || a.last_name), $13) > 0)
       AND ($14::text IS NULL OR strpos(lower(a.smtp ->> 'username'), $14) > 0)
       AND ($15::text[] IS NULL OR $16 <= (
               SELECT count(*) FROM account_tag l JOIN tag t USING (project_id, number)
                WHERE l.account_id = a.account_id AND lower(t.name) = ANY($15)))
       AND ($17::boolean IS NULL OR $17 <> EXISTS (SELECT FROM account_tag l WHERE l.account_id = a.account_id))
       AND ($18::boolean IS NULL OR $18 = coalesce((v.verification ->> 'imap')::boolean, v.status = 'connected', false))
       AND ($19::boolean IS NULL OR $19 = coalesce((v.verification ->> 'smtp')::boolean, v.status = 'connected', false))
       AND ($20::int IS NULL OR (a.settings ->> 'client_number')::int = $20)
       AND ($21::boolean IS NULL OR $21 = coalesce((a.settings ->> 'warmup_enabled')::boolean, false))
       AND ($22::boolean IS NULL OR $22 = (coalesce((a.settings ->> 'sending_enabled')::boolean, true)
                                           AND coalesce(v.status = 'connected', false) AND NOT a.suspended))
       AND ($23::boolean IS NULL OR $23 = (a.workspace_id IS NOT NULL))
       AND ($24::boolean IS NULL OR $24 = EXISTS (SELECT FROM campaign_account m WHERE m.account_id = a.account_id))
       AND ($25::text IS NULL OR a.on_failure = $25)
       AND ($26::boolean IS NULL OR $26 = coalesce((a.settings ->> 'warmup_paused')::boolean, false))
       AND (($27::int IS NULL AND $28::int IS NULL) OR a.domain IN (
               SELECT r.domain FROM domain_record r
                WHERE r.domain IN (SELECT o.domain FROM account o WHERE o.project_id = $1 AND o.removed_at IS NULL)
                  AND coalesce((r.definite ->> 'health_score')::int,
                               25 * ((r.definite #>> '{mx,state}' = 'pass')::int + (r.definite #>> '{spf,state}' = 'pass')::int
                                     + (r.definite #>> '{dkim,state}' = 'pass')::int
                                     + (r.definite #>> '{dmarc,state}' = 'pass')::int))
                      BETWEEN coalesce($27, 0) AND coalesce($28, 100))))
SELECT counted.total, shown.account_id
  FROM (SELECT CASE WHEN $5::boolean THEN (SELECT count(*) FROM matching) END AS total) counted
  LEFT JOIN LATERAL (SELECT account_id, number FROM matching WHERE number > $2 ORDER BY number LIMIT $3 OFFSET $4) shown ON true
 ORDER BY shown.number
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A page of accounts; `total` of all pages only when it was asked for."""

    accounts: list[AccountView]
    total: int | None
