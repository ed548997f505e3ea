"""What is done to an account that exists, each command inside the caller's transaction.

Every command returns the entries of the feed, which the caller publishes as the last write of its transaction.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from berth_events.contracts import (
    AccountCheckupRequested,
    AccountCredentialsReplaced,
    AccountDomainAuditRequested,
    AccountResumed,
    AccountSettings,
    AccountSuspended,
    AccountUpdated,
    AccountVerificationRequested,
    CredentialRef,
    Event,
    MailServer,
    Provider,
)
from berth_events.runtime.store import Decided
from berth_gateway import feed
from berth_gateway.accounts.mailboxes import Alias, Change, Mailbox, Tenant, binding
from berth_gateway.errors import FieldFault, InvalidFields, NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection
    from berth_events.runtime.store import Context, EventStore
    from berth_gateway.accounts.tags import Tags
    from berth_vault import VaultWriter

__all__ = ["Changes"]

#: A refused credential is not tried again so soon, whoever asks.
_NOT_AGAIN_WITHIN: Final = timedelta(seconds=60)
#: Accounts in one statement.
_AT_ONCE: Final = 250
_TEXTS: Final = ("first_name", "last_name", "signature", "time_zone", "imap_issue")


class Changes:
    """Changes accounts.

    Args:
        store: the event store.
        vault: takes the sealed credentials.
        tags: of the projects.
        clock: time.
    """

    def __init__(self, store: "EventStore", vault: "VaultWriter", tags: "Tags", clock: "Clock") -> None:
        self._store, self._vault, self._tags, self._clock = store, vault, tags, clock

    async def update(
        self, connection: "Connection", tenant: Tenant, account_id: UUID, change: Change, context: "Context"
    ) -> list[feed.Entry]:
        """Change settings, tags and aliases. What is as it should be already is no change, and no event.

        Raises:
            NotFound: the project has no such account.
            InvalidFields: the alias to send from is none of the account's.
        """
        row = await self._lock(connection, tenant, account_id)
        aliases = await self._set_aliases(connection, account_id, change.aliases)
        await self._check_alias(connection, account_id, change.settings.alias)
        tags = None
        if change.tags is not None:
            tags = await self._tags.assign(connection, tenant.project_id, account_id, change.tags)
        changed: dict[str, Any] = {
            name: value for name in _TEXTS if (value := getattr(change, name)) not in (None, row[name])
        }
        settings = {
            name: value
            for name, value in change.settings.model_dump(exclude_none=True).items()
            if row["settings"].get(name) != value
        }
        if not changed and not settings and tags is None and aliases is None:
            return []
        event = AccountUpdated(
            **self._ids(row),
            **changed,
            settings=AccountSettings(**settings) if settings else None,
            tags=tags,
            aliases=aliases,
        )
        await connection.execute(
            """UPDATE account SET first_name = coalesce($2, first_name), last_name = coalesce($3, last_name),
                      signature = coalesce($4, signature), time_zone = coalesce($5, time_zone),
                      imap_issue = coalesce($6, imap_issue), settings = settings || $7 WHERE account_id = $1""",
            account_id,
            *(changed.get(name) for name in _TEXTS),
            settings,
        )
        return await self._append(connection, row, [event], context)

    async def replace(
        self,
        connection: "Connection",
        tenant: Tenant,
        account_id: UUID,
        mailbox: Mailbox,
        context: "Context",
        provider: Provider | None = None,
    ) -> tuple[CredentialRef, list[feed.Entry]]:
        """Give an account new servers and secrets at once, whether they work or not; the connector then verifies them.

        Args:
            connection: in the caller's transaction.
            tenant: whose.
            account_id: an account of the tenant.
            mailbox: the new servers and secrets.
            context: of the event.
            provider: who runs the mailbox now; None: as before.

        Returns:
            Where the new credential lies, and the entries of the feed.

        Raises:
            NotFound: the project has no such account.
        """
        row = await self._lock(connection, tenant, account_id)
        reference = CredentialRef(credential_id=uuid4(), version=1)
        await self._vault.insert(connection, binding(tenant, account_id, reference), mailbox.credential)
        if row["workspace_id"] is None:  # else the old one is the workspace's
            await self._vault.delete(connection, row["credential_id"])
        event = AccountCredentialsReplaced(
            **self._ids(row),
            address=row["address"],
            imap=mailbox.tried_imap,
            smtp=mailbox.smtp,
            credential_ref=reference,
        )
        await connection.execute(
            """UPDATE account SET imap = $2, smtp = $3, imap_issue = $4, credential_id = $5, credential_version = $6,
                      workspace_id = NULL, provider = coalesce($7, provider) WHERE account_id = $1""",
            account_id,
            mailbox.imap and mailbox.imap.model_dump(mode="json"),
            mailbox.smtp and mailbox.smtp.model_dump(mode="json"),
            mailbox.imap_issue,
            reference.credential_id,
            reference.version,
            provider,
        )
        return reference, await self._append(connection, row, [event], context)

    async def verify(
        self, connection: "Connection", tenant: Tenant, account_id: UUID, context: "Context"
    ) -> list[feed.Entry]:
        """Have an account verified again with what it has.

        Nothing is asked for when its credential was refused within the last minute: the answer would be the same, and the
        provider would count another failed login.

        Raises:
            NotFound: the project has no such account.
        """
        await self._lock(connection, tenant, account_id)
        return await self.verify_all(connection, tenant, [account_id], context)

    async def verify_all(
        self, connection: "Connection", tenant: Tenant, account_ids: "Sequence[UUID]", context: "Context"
    ) -> list[feed.Entry]:
        """Have those of the accounts verified again that are still there, as `verify` does."""
        rows = await connection.fetch(
            """SELECT account_id, organization_id, project_id, address, imap, smtp, imap_issue, workspace_id, credential_id,
                      credential_version, version
                 FROM account a
                WHERE account_id = ANY($1::uuid[]) AND project_id = $2 AND removed_at IS NULL
                  AND NOT EXISTS (SELECT FROM verification v
                                   WHERE v.account_id = a.account_id AND v.credential_id = a.credential_id AND v.verified_at > $3
                                     AND v.verification -> 'diagnosis' ->> 'retry_policy' = 'never')
                ORDER BY account_id FOR UPDATE OF a""",
            account_ids,
            tenant.project_id,
            self._clock.now() - _NOT_AGAIN_WITHIN,
        )
        entries: list[feed.Entry] = []
        for start in range(0, len(rows), _AT_ONCE):
            group = rows[start : start + _AT_ONCE]
            asked = [
                AccountVerificationRequested(
                    **self._ids(row), **self._connection(row), address=row["address"], reason="reconnect"
                )
                for row in group
            ]
            decided = [
                Decided(row["account_id"], row["version"], [event]) for row, event in zip(group, asked, strict=True)
            ]
            envelopes = await self._store.append_all(connection, decided, context)
            entries += [(tenant.project_id, envelope) for envelope in envelopes]
        await connection.execute(
            "UPDATE account SET version = version + 1, updated_at = $2 WHERE account_id = ANY($1::uuid[])",
            [row["account_id"] for row in rows],
            self._clock.now(),
        )
        return entries

    async def leave_imap(
        self, connection: "Connection", tenant: Tenant, account_id: UUID, context: "Context"
    ) -> list[feed.Entry]:
        """Have an account verified again as one that only sends: nothing answers at the IMAP server that was guessed.

        Raises:
            NotFound: the project has no such account.
        """
        entries = await self.update(connection, tenant, account_id, Change(imap_issue=True), context)
        row = await self._lock(connection, tenant, account_id)
        event = AccountVerificationRequested(
            **self._ids(row), **self._connection(row), address=row["address"], reason="reconnect"
        )
        return entries + await self._append(connection, row, [event], context)

    async def check_up(
        self, connection: "Connection", tenant: Tenant, account_id: UUID, context: "Context"
    ) -> list[feed.Entry]:
        """Have one message sent from the account to itself.

        Raises:
            NotFound: the project has no such account.
            InvalidFields: the account cannot both send and receive.
        """
        row = await self._lock(connection, tenant, account_id)
        if row["imap"] is None or row["smtp"] is None or row["imap_issue"]:
            detail = "A checkup sends a message and looks for it; this account does only one of both."
            raise InvalidFields([FieldFault("account_id", detail, "Give it an IMAP and an SMTP server that work.")])
        event = AccountCheckupRequested(
            **self._ids(row), **self._connection(row), address=row["address"], checkup_id=uuid4()
        )
        return await self._append(connection, row, [event], context)

    async def audit_domain(
        self, connection: "Connection", tenant: Tenant, domain: str, context: "Context"
    ) -> list[feed.Entry]:
        """Have a domain of the project's accounts audited again now.

        Raises:
            NotFound: no account of the project has this domain.
        """
        account_id = await connection.fetchval(
            """SELECT account_id FROM account WHERE project_id = $1 AND domain = $2 AND removed_at IS NULL
                ORDER BY number LIMIT 1""",
            tenant.project_id,
            domain,
        )
        if account_id is None:
            raise NotFound
        row = await self._lock(connection, tenant, account_id)
        event = AccountDomainAuditRequested(**self._ids(row), domain=domain)
        return await self._append(connection, row, [event], context)

    async def suspend(
        self, connection: "Connection", tenant: Tenant, account_id: UUID, reason: str, context: "Context"
    ) -> list[feed.Entry]:
        """Leave an account alone until it is resumed; its seat stays taken. One that is suspended stays so.

        Raises:
            NotFound: the project has no such account.
        """
        row = await self._lock(connection, tenant, account_id)
        if row["suspended"]:
            return []
        await connection.execute("UPDATE account SET suspended = true WHERE account_id = $1", account_id)
        return await self._append(connection, row, [AccountSuspended(**self._ids(row), reason=reason)], context)

    async def resume(
        self, connection: "Connection", tenant: Tenant, account_id: UUID, context: "Context"
    ) -> list[feed.Entry]:
        """Look after an account again.

        Raises:
            NotFound: the project has no such account.
        """
        row = await self._lock(connection, tenant, account_id)
        if not row["suspended"]:
            return []
        await connection.execute("UPDATE account SET suspended = false WHERE account_id = $1", account_id)
        return await self._append(connection, row, [AccountResumed(**self._ids(row))], context)

    async def _lock(self, connection: "Connection", tenant: Tenant, account_id: UUID) -> "asyncpg.Record":
        row = await connection.fetchrow(
            """SELECT account_id, organization_id, project_id, address, first_name, last_name, imap, smtp, imap_issue, signature,
                      time_zone, settings, suspended, workspace_id, credential_id, credential_version, version
                 FROM account WHERE account_id = $1 AND project_id = $2 AND removed_at IS NULL FOR UPDATE""",
            account_id,
            tenant.project_id,
        )
        if row is None:
            raise NotFound
        return row

    async def _append(
        self, connection: "Connection", row: "asyncpg.Record", events: list[Event], context: "Context"
    ) -> list[feed.Entry]:
        envelopes = await self._store.append(connection, row["account_id"], row["version"], events, context)
        await connection.execute(
            "UPDATE account SET version = $2, updated_at = $3 WHERE account_id = $1",
            row["account_id"],
            envelopes[-1].sequence,
            self._clock.now(),
        )
        return [(row["project_id"], envelope) for envelope in envelopes]

    async def _set_aliases(
        self, connection: "Connection", account_id: UUID, aliases: "Sequence[Alias] | None"
    ) -> tuple[str, ...] | None:
        """Give an account exactly these aliases. Returns all of them, or None when there was nothing to change."""
        if aliases is None:
            return None
        rows = await connection.fetch(
            "SELECT address_key, address, name FROM account_alias WHERE account_id = $1", account_id
        )
        wanted = {alias.address.key: (alias.address.text, alias.name) for alias in aliases}
        if {row["address_key"]: (row["address"], row["name"]) for row in rows} == wanted:
            return None
        await connection.execute("DELETE FROM account_alias WHERE account_id = $1", account_id)
        await connection.executemany(
            "INSERT INTO account_alias (account_id, address_key, address, name) VALUES ($1, $2, $3, $4)",
            [(account_id, key, *shown) for key, shown in wanted.items()],
        )
        return tuple(address for address, _ in wanted.values())

    async def _check_alias(self, connection: "Connection", account_id: UUID, alias: str | None) -> None:
        if not alias:
            return
        known = await connection.fetchval(
            "SELECT true FROM account_alias WHERE account_id = $1 AND address_key = lower($2)", account_id, alias
        )
        if not known:
            remedy = "Use one of the account's aliases, or add it to them first."
            raise InvalidFields([FieldFault("alias", "The account has no such alias.", remedy)])

    @staticmethod
    def _ids(row: "asyncpg.Record") -> dict[str, UUID]:
        return {name: row[name] for name in ("account_id", "organization_id", "project_id")}

    @staticmethod
    def _connection(row: "asyncpg.Record") -> dict[str, Any]:
        """What the connector needs to dial the account as it is."""
        imap = None if row["imap_issue"] else row["imap"]
        return {
            "imap": imap and MailServer.model_validate(imap),
            "smtp": row["smtp"] and MailServer.model_validate(row["smtp"]),
            "credential_ref": CredentialRef(credential_id=row["credential_id"], version=row["credential_version"]),
            "workspace_id": row["workspace_id"],
        }
