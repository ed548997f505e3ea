"""Accounts: connect, list, show, change, remove, and the steps of their verification."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, status
from starlette.responses import Response

from berth_events.runtime.database import Connection
from berth_gateway import feed
from berth_gateway.accounts.change_schemas import AccountUpdate
from berth_gateway.accounts.presentation import account_resource, verification_report
from berth_gateway.accounts.queries import AccountQuery
from berth_gateway.accounts.schemas import Account, AccountInput, AccountPage, VerificationReport
from berth_gateway.accounts.translation import change_of, connect_of
from berth_gateway.api.authentication import Reads, Writes
from berth_gateway.api.idempotency import Answer, IdempotencyKey
from berth_gateway.api.openapi import BODY, KEY, problems
from berth_gateway.api.paths import AccountId, decode_cursor, encode_cursor
from berth_gateway.api.services import Provided, context_of
from berth_gateway.errors import (
    AddressTaken,
    IdempotencyKeyReused,
    InvalidCursor,
    InvalidFields,
    InvalidIdempotencyKey,
    NotFound,
    SeatLimitReached,
    SubscriptionRequired,
)

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
    response_model=Account,
    responses={
        202: {"headers": {"Location": {"description": "where the account is", "schema": {"type": "string"}}}},
        **problems(*KEY, *BODY, *_REFUSALS),
    },
)
async def connect_account(
    request: Request,
    services: Provided,
    caller: Writes,
    body: AccountInput,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Connect a mailbox by IMAP and SMTP.

    The account is accepted at once, with its seat, and then verified: `status` turns from `pending` to `connected` or
    `failed`, which the account, its verification and the event feed tell. A seat is taken until the account is removed.
    """
    identified = await services.idempotency.identify(request, caller.key_id, idempotency_key)
    if answered := await services.idempotency.answered(identified):
        return answered.response()
    connect = await connect_of(body, services.vetting)

    async def command(connection: Connection) -> Answer:
        account_id, _ = await services.accounts.connect(connection, caller.tenant, connect, context_of(request))
        view = await services.repository.find(connection, caller.tenant.project_id, account_id)
        if view is None:
            raise LookupError(account_id)
        shown = account_resource(view).model_dump(mode="json")
        return Answer(status.HTTP_202_ACCEPTED, shown, {"Location": f"/v1/accounts/{account_id}"})

    return (await services.idempotency.run(identified, command)).response()


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


@router.get("/{account_id}", operation_id="getAccount", responses=problems(*KEY, NotFound))
async def get_account(services: Provided, caller: Reads, account_id: AccountId) -> Account:
    """One account."""
    async with services.pool.acquire() as connection:
        view = await services.repository.find(connection, caller.tenant.project_id, account_id)
    if view is None:
        raise NotFound
    return account_resource(view)


@router.get(
    "/{account_id}/verification",
    operation_id="getVerification",
    responses=problems(*KEY, NotFound),
)
async def get_verification(services: Provided, caller: Reads, account_id: AccountId) -> VerificationReport:
    """The last verification of an account, step by step, with the words of its servers."""
    async with services.pool.acquire() as connection:
        found = await services.repository.verification(connection, caller.tenant.project_id, account_id)
    if found is None:
        raise NotFound
    return verification_report(account_id, *found)


@router.patch("/{account_id}", operation_id="updateAccount", responses=problems(*KEY, *BODY, NotFound))
async def update_account(
    request: Request, services: Provided, caller: Writes, account_id: AccountId, body: AccountUpdate
) -> Account:
    """Change settings, names, tags. Servers and secrets are changed by `credentials`."""
    change = change_of(body)

    async def command(connection: Connection) -> Answer:
        entries = await services.changes.update(connection, caller.tenant, account_id, change, context_of(request))
        await feed.publish(connection, entries)
        return Answer(status.HTTP_200_OK, None)

    await services.idempotency.run(None, command)
    return await get_account(services, caller, account_id)


@router.delete(
    "/{account_id}",
    operation_id="removeAccount",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(*KEY, NotFound),
)
async def remove_account(request: Request, services: Provided, caller: Writes, account_id: AccountId) -> None:
    """Remove an account: its credential is erased and its seat is free at once."""

    async def command(connection: Connection) -> Answer:
        await services.accounts.remove(connection, caller.tenant, account_id, context_of(request))
        return Answer(status.HTTP_204_NO_CONTENT, None)

    await services.idempotency.run(None, command)
