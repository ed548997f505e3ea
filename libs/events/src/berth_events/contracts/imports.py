"""Facts about imports, of mailboxes of a workspace or with passwords of their own. Aggregate: the import."""

from typing import ClassVar, Literal

from pydantic import Field

from berth_events.contracts import topics
from berth_events.contracts.base import Event, Identifier

__all__ = ["ImportProgressed"]


class ImportProgressed(Event):
    """An import was accepted, has got on by a tenth or more, was stopped, goes on, or is finished.

    No number but `pending` ever goes down.
    """

    topic: ClassVar[str] = topics.IMPORTS
    key_field: ClassVar[str] = "import_id"

    import_id: Identifier = Field(description="the import; the key of the record")
    organization_id: Identifier = Field(description="the tenant that holds the subscription")
    project_id: Identifier = Field(description="the name space that its accounts belong to")
    workspace_id: Identifier | None = Field(
        default=None, description="the email workspace; null: each account has a password of its own"
    )
    state: Literal["running", "stopped", "finished"] = Field(
        description="stopped: the credential of the workspace is rejected, and nothing is tried until it is replaced; "
        "finished: nothing is pending, and no further event comes"
    )
    total: int = Field(ge=1, description="rows of the request")
    rejected: int = Field(ge=0, description="rows that became no accounts")
    pending: int = Field(ge=0, description="accounts that were not verified yet")
    connected: int = Field(ge=0, description="accounts that worked when they were verified first")
    failed: int = Field(ge=0, description="accounts that did not work when they were verified first")
    removed: int = Field(ge=0, description="accounts that were removed before they were verified")
