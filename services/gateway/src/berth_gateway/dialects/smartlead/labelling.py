"""Giving tags to many accounts, and taking them, inside the caller's transaction."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from berth_gateway import feed
from berth_gateway.accounts.addresses import InvalidAddress, MailAddress
from berth_gateway.accounts.mailboxes import Change
from berth_gateway.dialects.smartlead.refusals import account_not_found, tag_not_found

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection
    from berth_events.runtime.store import Context
    from berth_gateway.accounts.changes import Changes
    from berth_gateway.accounts.mailboxes import Tenant
    from berth_gateway.accounts.repository import AccountRepository
    from berth_gateway.accounts.tags import Tags
    from berth_gateway.accounts.views import AccountView

__all__ = ["Labelling"]


class Labelling:
    """Finds accounts by what clients call them, and changes their tags.

    Args:
        repository: reads accounts.
        changes: changes them.
        tags: of the projects.
    """

    def __init__(self, repository: "AccountRepository", changes: "Changes", tags: "Tags") -> None:
        self._repository, self._changes, self._tags = repository, changes, tags

    async def of_addresses(
        self, connection: "Connection", project_id: UUID, addresses: Sequence[str]
    ) -> "list[AccountView]":
        """Those of the addresses that are accounts, by number."""
        keys = [key for key in map(_key, addresses) if key is not None]
        rows = await connection.fetch(
            "SELECT account_id FROM account WHERE project_id = $1 AND address_key = ANY($2::text[]) AND removed_at IS NULL",
            project_id,
            keys,
        )
        return await self._repository.views(connection, project_id, [row["account_id"] for row in rows])

    async def of_numbers(
        self, connection: "Connection", project_id: UUID, numbers: Sequence[int]
    ) -> "list[AccountView]":
        """Those of the numbers that are accounts, in order."""
        rows = await connection.fetch(
            "SELECT account_id FROM account WHERE project_id = $1 AND number = ANY($2::int[]) AND removed_at IS NULL",
            project_id,
            numbers,
        )
        return await self._repository.views(connection, project_id, [row["account_id"] for row in rows])

    async def give(
        self,
        connection: "Connection",
        tenant: "Tenant",
        accounts: "Sequence[int | str]",
        tags: Sequence[int],
        context: "Context",
    ) -> "list[AccountView]":
        """Give tags to accounts, which are named by number or by address; all of it or nothing.

        Returns:
            The accounts as they were.

        Raises:
            Refused: an account or a tag does not exist.
        """
        views = await self._named(connection, tenant, accounts)
        missing = sorted({name for name in accounts if isinstance(name, int)} - {view.number for view in views})
        known = {_key(view.address) for view in views}
        if missing or any(_key(name) not in known for name in accounts if isinstance(name, str)):
            raise account_not_found(missing[0] if missing else None)
        names = await self._tags.names(connection, tenant.project_id, tags)
        if set(tags) - names.keys():
            raise tag_not_found()
        await self._set(
            connection, tenant, [(view, [*(tag.name for tag in view.tags), *names.values()]) for view in views], context
        )
        return views

    async def take(
        self,
        connection: "Connection",
        tenant: "Tenant",
        accounts: "Sequence[int | str]",
        tags: Sequence[int],
        context: "Context",
    ) -> "list[AccountView]":
        """Take tags from accounts; what does not exist is passed over.

        Returns:
            The accounts as they were.
        """
        views = await self._named(connection, tenant, accounts)
        await self._set(
            connection,
            tenant,
            [(view, [tag.name for tag in view.tags if tag.number not in tags]) for view in views],
            context,
        )
        return views

    async def _named(
        self, connection: "Connection", tenant: "Tenant", accounts: "Sequence[int | str]"
    ) -> "list[AccountView]":
        """Those of the accounts that exist, each once."""
        numbers = [name for name in accounts if isinstance(name, int)]
        addresses = [name for name in accounts if isinstance(name, str)]
        views = await self.of_numbers(connection, tenant.project_id, numbers) if numbers else []
        views += await self.of_addresses(connection, tenant.project_id, addresses) if addresses else []
        return list({view.account_id: view for view in views}.values())

    async def _set(
        self,
        connection: "Connection",
        tenant: "Tenant",
        wanted: "list[tuple[AccountView, list[str]]]",
        context: "Context",
    ) -> None:
        entries: list[feed.Entry] = []
        # in one order: two of us must not wait in a circle
        for view, names in sorted(wanted, key=lambda each: each[0].account_id):
            if {tag.name for tag in view.tags} != set(names):
                change = Change(tags=names)
                entries += await self._changes.update(connection, tenant, view.account_id, change, context)
        await feed.publish(connection, entries)


def _key(address: str) -> str | None:
    """What an address is found by; None: what is no address is nobody's."""
    try:
        return MailAddress.parse(address).key
    except InvalidAddress:
        return None
