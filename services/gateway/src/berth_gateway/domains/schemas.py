"""Domains as the canonical API shows them."""

from pydantic import BaseModel, Field

from berth_events.contracts import DomainRecord
from berth_gateway.accounts.schemas import Domain, Instant

__all__ = ["DomainDetail", "DomainPage", "DomainSummary"]


class DomainSummary(Domain):
    """A domain of the project's accounts."""

    accounts: int = Field(description="accounts of the project that have it")
    health_score: int | None = Field(description="0 to 100; null: not audited yet, or nothing was answered")
    created_at: Instant | None = Field(description="of the registration, by RDAP; null: not known")
    expires_at: Instant | None = Field(description="of the registration, by RDAP; null: not known")
    http: bool | None = Field(description="answers as a web site by http; null: not known")
    https: bool | None = Field(description="answers as a web site by https, with a valid certificate; null: not known")


class DomainDetail(DomainSummary):
    """A domain with everything that the last audit saw."""

    record: DomainRecord | None = Field(description="what the last audit saw, check by check; null: not audited yet")


class DomainPage(BaseModel):
    """Domains by name."""

    items: list[DomainSummary]
    next_cursor: str | None = Field(description="null on the last page")
