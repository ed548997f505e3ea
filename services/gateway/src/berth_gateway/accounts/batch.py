"""One action on many accounts: each is done, or not, on its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from berth_gateway import feed
from berth_gateway.accounts.mailboxes import Change, Tenant
from berth_gateway.errors import GatewayError, NotFound

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection, Pool
    from berth_events.runtime.store import Context, EventStore
    from berth_gateway.accounts.changes import Changes
    from berth_gateway.accounts.commands import Accounts
    from berth_gateway.accounts.repository import AccountRepository

__all__ = ["Action", "Batch", "Outcome"]

Action = Literal["reconnect", "checkup", "suspend", "resume", "tag", "untag", "remove"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one account; `error` says why it failed."""

    account_id: UUID
    changed: bool
    error: GatewayError | None = None


class Batch:
    """Runs batches, a transaction for each account, so that one that fails holds up no other.

    Args:
        pool: the gateway's database.
        store: its relay is woken after the commits.
        accounts: removes.
        changes: does the rest.
        repository: knows the tags.
    """

    def __init__(
        self,
        pool: "Pool",
        store: "EventStore",
        accounts: "Accounts",
        changes: "Changes",
        repository: "AccountRepository",
    ) -> None:
        self._pool, self._store, self._accounts = pool, store, accounts
        self._changes, self._repository = changes, repository

    async def run(
        self,
        tenant: Tenant,
        action: Action,
        account_ids: Sequence[UUID],
        context: "Context",
        *,
        tags: Sequence[str] = (),
        reason: str = "",
    ) -> list[Outcome]:
        """Do it to each account; ids that are named twice are done once.

        Args:
            tenant: whose accounts.
            action: what to do.
            account_ids: in the order of the outcomes.
            context: of the events.
            tags: names, for `tag` and `untag`.
            reason: for `suspend`.
        """
        outcomes = []
        for account_id in dict.fromkeys(account_ids):
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    entries = await self._one(connection, tenant, action, account_id, context, tags, reason)
                    await feed.publish(connection, entries)
                outcomes.append(Outcome(account_id, changed=bool(entries)))
            except GatewayError as error:
                outcomes.append(Outcome(account_id, changed=False, error=error))
        self._store.notify()
        return outcomes

    async def _one(
        self,
        connection: "Connection",
        tenant: Tenant,
        action: Action,
        account_id: UUID,
        context: "Context",
        tags: Sequence[str],
        reason: str,
    ) -> list[feed.Entry]:
        match action:
            case "reconnect":
                return await self._changes.verify(connection, tenant, account_id, context)
            case "checkup":
                return await self._changes.check_up(connection, tenant, account_id, context)
            case "suspend":
                return await self._changes.suspend(connection, tenant, account_id, reason, context)
            case "resume":
                return await self._changes.resume(connection, tenant, account_id, context)
            case "remove":
                return await self._accounts.remove(connection, tenant, account_id, context)
            case "tag" | "untag":
                return await self._retag(connection, tenant, action, account_id, context, tags)

    async def _retag(
        self,
        connection: "Connection",
        tenant: Tenant,
        action: Literal["tag", "untag"],
        account_id: UUID,
        context: "Context",
        tags: Sequence[str],
    ) -> list[feed.Entry]:
        view = await self._repository.find(connection, tenant.project_id, account_id)
        if view is None:
            raise NotFound
        named = {tag.lower() for tag in tags}
        kept = [tag.name for tag in view.tags if tag.name.lower() not in named]
        change = Change(tags=[*kept, *tags] if action == "tag" else kept)
        return await self._changes.update(connection, tenant, account_id, change, context)
