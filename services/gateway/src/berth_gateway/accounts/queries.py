"""What lists of accounts can be asked for."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from berth_events.contracts import Provider, SeatKind
from berth_gateway.accounts.listing import AccountFilter
from berth_gateway.accounts.schemas import AccountStatus, Input, TagName, Text

__all__ = ["AccountQuery"]


class AccountQuery(Input):
    """A page of accounts."""

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: str | None = Field(default=None, description="`next_cursor` of the page before")
    status: list[AccountStatus] | None = Field(default=None, max_length=10, description="one of these; may be repeated")
    provider: list[Provider] | None = Field(default=None, max_length=10, description="one of these; may be repeated")
    domain: Text | None = Field(default=None, description="the domain of the address")
    seat_kind: SeatKind | None = None
    suspended: bool | None = None
    workspace_id: UUID | None = Field(default=None, description="signs in through this email workspace")
    import_id: UUID | None = Field(default=None, description="came with this import")
    tag: list[TagName] | None = Field(
        default=None, max_length=20, description="carries one of these tags; may be repeated"
    )
    search: Text | None = Field(default=None, description="a part of the address or the name, in any case")

    def only(self) -> AccountFilter:
        """The accounts that are meant."""
        return AccountFilter(
            statuses=self.status,
            providers=self.provider,
            domain=self.domain and self.domain.strip().lower().rstrip("."),
            seat_kind=self.seat_kind,
            suspended=self.suspended,
            workspace_id=self.workspace_id,
            import_id=self.import_id,
            tags=self.tag,
            search=self.search,
        )
