"""Accounts: connect, list, show, change, remove, and the steps of their verification."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, status
from starlette.responses import Response

from berth_events.runtime.database import Connection
from berth_events.runtime.store import Context
from berth_gateway import feed
from berth_gateway.accounts.change_schemas import AccountUpdate
from berth_gateway.accounts.presentation import account_resource, verification_report
from berth_gateway.accounts.queries import AccountQuery
from berth_gateway.accounts.schemas import AcceptedAccount, Account, AccountInput, AccountPage, VerificationReport
from berth_gateway.accounts.translation import change_of, connect_of, imported_of, initial_change_of
from berth_gateway.api.authentication import Reads, Writes
from berth_gateway.api.conditional import READ, IfChanged, IfUnchanged, tagged
from berth_gateway.api.idempotency import Answer, IdempotencyKey
from berth_gateway.api.openapi import BODY, KEY, problems
from berth_gateway.api.paths import AccountId, decode_cursor, encode_cursor
from berth_gateway.api.services import Provided, Services, context_of, publish
from berth_gateway.errors import (
    AddressTaken,
    IdempotencyKeyReused,
    InvalidCursor,
    InvalidFields,
    InvalidIdempotencyKey,
    NotFound,
    PreconditionFailed,
    SeatLimitReached,
    SubscriptionRequired,
)
from berth_gateway.tenants.keyring import Caller

__all__ = ["router"]

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])

_CURSOR: Final = "a"
_REFUSALS: Final = (
    SubscriptionRequired, SeatLimitReached, AddressTaken, InvalidIdempotencyKey, IdempotencyKeyReused,
)  # fmt: skip


@router.post(
    "",
    operation_id="connectAccount",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=AcceptedAccount,
    responses={
        202: {"headers": {"Location": {"description": "where the account is", "schema": {"type": "string"}}}},
        **problems(*KEY, *BODY, *_REFUSALS, NotFound),
    },
)
async def connect_account(
    request: Request,
    services: Provided,
    caller: Writes,
    body: AccountInput,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Connect a mailbox by IMAP and SMTP, with a password or through an email workspace.

    The account is accepted at once, with its seat, and then verified: `status` turns from `pending` to `connected` or
    `failed`, which the account, its verification and the event feed tell. A seat is taken until the account is removed.
    Servers of `custom` that are left out are found by the domain, and `filled_in` names them.
    """
    identified = await services.idempotency.identify(request, caller.key_id, idempotency_key)
    if answered := await services.idempotency.answered(identified):
        return answered.response()
    connect = body.workspace_id or await connect_of(body, services.vetting, services.autoconfig)

    async def command(connection: Connection) -> Answer:
        context = context_of(request)
        if isinstance(connect, UUID):
            account_id = await _connect_through(services, connection, caller, connect, body, context)
        else:
            account_id, _ = await services.accounts.connect(connection, caller.tenant, connect, context)
        view = await services.repository.find(connection, caller.tenant.project_id, account_id)
        if view is None:
            raise LookupError(account_id)
        shown = account_resource(view)
        headers = {"Location": f"/v1/accounts/{account_id}", **tagged(shown)}
        content = shown.model_dump(mode="json")
        if not isinstance(connect, UUID) and connect.mailbox.filled_in:
            content["filled_in"] = dict(connect.mailbox.filled_in)
        return Answer(status.HTTP_202_ACCEPTED, content, headers)

    return (await services.idempotency.run(identified, command)).response()


async def _connect_through(
    services: Services,
    connection: Connection,
    caller: Caller,
    workspace_id: UUID,
    body: AccountInput,
    context: Context,
) -> UUID:
    [account_id] = await services.workspace_accounts.connect_through(
        connection, caller.tenant, workspace_id, [imported_of(body)], context, seat_kind=body.seat_kind
    )
    change = initial_change_of(body)
    await feed.publish(
        connection, await services.changes.update(connection, caller.tenant, account_id, change, context)
    )
    return account_id


@router.get(
    "",
    operation_id="listAccounts",
    responses=problems(*KEY, InvalidCursor, InvalidFields),
)
async def list_accounts(
    services: Provided,
    caller: Reads,
    filtered: Annotated[AccountQuery, Query()],
) -> AccountPage:
    """The accounts of the project, by number. Filters are combined: an account is shown when it fits all of them."""
    after = decode_cursor(_CURSOR, filtered.cursor)
    async with services.pool.acquire() as connection:
        found = await services.repository.page(
            connection, caller.tenant.project_id, after=after, limit=filtered.limit + 1, only=filtered.only()
        )
    shown = found.accounts[: filtered.limit]
    return AccountPage(
        items=[account_resource(view) for view in shown],
        next_cursor=encode_cursor(_CURSOR, shown[-1].number) if len(found.accounts) > filtered.limit else None,
    )


@router.get(
    "/{account_id}",
    operation_id="getAccount",
    response_model=Account,
    responses={**READ, **problems(*KEY, NotFound)},
)
async def get_account(services: Provided, caller: Reads, account_id: AccountId, if_changed: IfChanged) -> Response:
    """One account."""
    async with services.pool.acquire() as connection:
        view = await services.repository.find(connection, caller.tenant.project_id, account_id)
    if view is None:
        raise NotFound
    return if_changed.response(account_resource(view))


@router.get(
    "/{account_id}/verification",
    operation_id="getVerification",
    response_model=VerificationReport,
    responses={**READ, **problems(*KEY, NotFound)},
)
async def get_verification(services: Provided, caller: Reads, account_id: AccountId, if_changed: IfChanged) -> Response:
    """The last verification of an account, step by step, with the words of its servers."""
    async with services.pool.acquire() as connection:
        found = await services.repository.verification(connection, caller.tenant.project_id, account_id)
    if found is None:
        raise NotFound
    return if_changed.response(verification_report(account_id, *found))


@router.patch(
    "/{account_id}",
    operation_id="updateAccount",
    response_model=Account,
    responses=problems(*KEY, *BODY, NotFound, PreconditionFailed),
)
async def update_account(
    request: Request,
    services: Provided,
    caller: Writes,
    account_id: AccountId,
    body: AccountUpdate,
    if_unchanged: IfUnchanged,
) -> Response:
    """Change settings, names, tags. Servers and secrets are changed by `credentials`."""
    change = change_of(body)

    async def command(connection: Connection) -> Answer:
        await _require(services, connection, caller, account_id, if_unchanged)
        entries = await services.changes.update(connection, caller.tenant, account_id, change, context_of(request))
        await feed.publish(connection, entries)
        view = await services.repository.find(connection, caller.tenant.project_id, account_id)
        if view is None:
            raise NotFound
        shown = account_resource(view)
        return Answer(status.HTTP_200_OK, shown.model_dump(mode="json"), tagged(shown))

    return (await services.idempotency.run(None, command)).response()


@router.delete(
    "/{account_id}",
    operation_id="removeAccount",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(*KEY, NotFound, PreconditionFailed),
)
async def remove_account(
    request: Request, services: Provided, caller: Writes, account_id: AccountId, if_unchanged: IfUnchanged
) -> None:
    """Remove an account: its credential is erased and its seat is free at once."""

    async def change(connection: Connection) -> list[feed.Entry]:
        await _require(services, connection, caller, account_id, if_unchanged)
        return await services.accounts.remove(connection, caller.tenant, account_id, context_of(request))

    await publish(services, change)


async def _require(
    services: Services, connection: Connection, caller: Caller, account_id: UUID, if_unchanged: IfUnchanged
) -> None:
    """Go on only when the account is what the client has seen."""
    if if_unchanged.asked:
        view = await services.repository.locked(connection, caller.tenant.project_id, account_id)
        if view is None:
            raise NotFound
        if_unchanged.require(account_resource(view))
