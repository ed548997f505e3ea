"""SmartLead's calls on one account."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from berth_events.runtime.database import Connection
from berth_gateway import feed
from berth_gateway.api.idempotency import Answer
from berth_gateway.api.services import Provided, Services, context_of
from berth_gateway.dialects.smartlead import answers, presentation, requests
from berth_gateway.dialects.smartlead.calls import add_call
from berth_gateway.dialects.smartlead.reading import AccountNumber, Document, Reads, SuspendedNumber, Writes
from berth_gateway.dialects.smartlead.refusals import account_not_found
from berth_gateway.dialects.smartlead.translation import change_of, warmup_change_of
from berth_gateway.errors import NotFound
from berth_gateway.tenants.keyring import Caller

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from berth_gateway.accounts.views import AccountView

__all__ = ["router"]

_DAYS: Final = 7

router = APIRouter(tags=["SmartLead dialect"])


async def _found(connection: Connection, services: Services, caller: Caller, number: int) -> UUID:
    """The account of a number.

    Raises:
        Refused: the project has none.
    """
    account_id = await services.repository.by_number(connection, caller.tenant.project_id, number)
    if account_id is None:
        raise account_not_found(number)
    return account_id


async def _view(services: Services, caller: Caller, number: int) -> tuple["AccountView", list[int]]:
    """An account, and its campaigns."""
    async with services.pool.acquire() as connection:
        account_id = await _found(connection, services, caller, number)
        view = await services.repository.find(connection, caller.tenant.project_id, account_id)
        campaigns = await services.smartlead.campaigns.of(connection, [account_id])
    if view is None:
        raise account_not_found(number)
    return view, campaigns.get(account_id, [])


async def _change(
    services: Services, caller: Caller, number: int, change: "Callable[[Connection, UUID], Awaitable[list[feed.Entry]]]"
) -> None:
    """Change an account in a transaction."""

    async def command(connection: Connection) -> Answer:
        try:
            entries = await change(connection, await _found(connection, services, caller, number))
        except NotFound:  # it has gone since we looked
            raise account_not_found(number) from None
        await feed.publish(connection, entries)
        return Answer(200, None)

    await services.idempotency.run(None, command)


async def _get(services: Provided, caller: Reads, number: AccountNumber) -> Response:
    """One account. Passwords are never shown, only a constant mask; OAuth accounts have null there."""
    view, campaigns = await _view(services, caller, number)
    return JSONResponse(presentation.detail(view, presentation.user_number(caller.tenant.project_id), campaigns))


async def _update(
    request: Request, services: Provided, caller: Writes, number: AccountNumber, document: Document
) -> Response:
    """Change settings of an account; what is left out or null stays, an empty text clears. Credentials are for `save`."""
    form = requests.parsed(requests.UpdateRequest, document)
    tenant, context = caller.tenant, context_of(request)

    async def change(connection: Connection, account_id: UUID) -> list[feed.Entry]:
        entries = await services.changes.update(connection, tenant, account_id, change_of(form), context)
        if form.is_suspended is True:
            entries += await services.changes.suspend(connection, tenant, account_id, "", context)
        if form.is_suspended is False:
            entries += await services.changes.resume(connection, tenant, account_id, context)
        return entries

    await _change(services, caller, number, change)
    return _done(number, "Email account updated successfully")


async def _delete(request: Request, services: Provided, caller: Writes, number: AccountNumber) -> Response:
    """Remove an account: its credential is erased, its seat is free, and it belongs to no campaign any more."""

    async def change(connection: Connection, account_id: UUID) -> list[feed.Entry]:
        return await services.accounts.remove(connection, caller.tenant, account_id, context_of(request))

    await _change(services, caller, number, change)
    return _done(number, "Email account deleted successfully!")


def _done(number: int, message: str, **more: Any) -> Response:
    return JSONResponse({"ok": True, "message": message, "emailAccountId": number, **more})


async def _suspend(request: Request, services: Provided, caller: Writes, number: SuspendedNumber) -> Response:
    """Leave an account alone until it is unsuspended; its seat stays taken."""

    async def change(connection: Connection, account_id: UUID) -> list[feed.Entry]:
        return await services.changes.suspend(connection, caller.tenant, account_id, "", context_of(request))

    await _change(services, caller, number, change)
    return _suspension(number, suspended=True)


async def _unsuspend(request: Request, services: Provided, caller: Writes, number: SuspendedNumber) -> Response:
    """Look after an account again."""

    async def change(connection: Connection, account_id: UUID) -> list[feed.Entry]:
        return await services.changes.resume(connection, caller.tenant, account_id, context_of(request))

    await _change(services, caller, number, change)
    return _suspension(number, suspended=False)


def _suspension(number: int, *, suspended: bool) -> Response:
    message = f"Email account {'suspended' if suspended else 'unsuspended'} successfully"
    return JSONResponse({"success": True, "message": message, "data": {"accountId": number, "isSuspended": suspended}})


async def _warm_up(
    request: Request, services: Provided, caller: Writes, number: AccountNumber, document: Document
) -> Response:
    """Set how an account is to be warmed up. Berth keeps it and tells it as an event to whoever warms up; it does not itself."""
    form = requests.parsed(requests.WarmupRequest, document)

    async def change(connection: Connection, account_id: UUID) -> list[feed.Entry]:
        tenant = caller.tenant
        return await services.changes.update(
            connection, tenant, account_id, warmup_change_of(form), context_of(request)
        )

    await _change(services, caller, number, change)
    view, _ = await _view(services, caller, number)
    return _done(number, "Warmup settings updated successfully", warmupKey=presentation.warmup_key(view))


async def _warmup_stats(services: Provided, caller: Reads, number: AccountNumber) -> Response:
    """What the last seven days' warm-up did: nothing, as Berth does not warm up."""
    async with services.pool.acquire() as connection:
        await _found(connection, services, caller, number)
    today = services.clock.now().date()
    days = [(today - timedelta(days=ago)).isoformat() for ago in reversed(range(_DAYS))]
    return JSONResponse(presentation.warmup_stats(number, days))


_ACCOUNTS: Final = "/email-accounts"
_ACCOUNT: Final = "/email-accounts/{account_id}"

add_call(
    router,
    f"{_ACCOUNTS}/suspend/{{account_id}}",
    _suspend,
    methods=["PUT"],
    name="smartleadSuspend",
    summary="Suspend an email account",
    answer=answers.Suspension,
    errors={400: "The id is no number."},
)
add_call(
    router,
    f"{_ACCOUNTS}/unsuspend/{{account_id}}",
    _unsuspend,
    methods=["DELETE", "PUT"],
    name="smartleadUnsuspend",
    summary="Unsuspend an email account",
    answer=answers.Suspension,
    errors={400: "The id is no number."},
)
add_call(
    router,
    _ACCOUNT,
    _get,
    methods=["GET"],
    name="smartleadGet",
    summary="Get an email account by id",
    answer=answers.AccountDetail,
)
add_call(
    router,
    _ACCOUNT,
    _update,
    methods=["POST", "PATCH"],
    name="smartleadUpdate",
    summary="Update an email account",
    answer=answers.Updated,
    body=requests.UpdateRequest,
)
add_call(
    router,
    _ACCOUNT,
    _delete,
    methods=["DELETE"],
    name="smartleadDelete",
    summary="Delete an email account",
    answer=answers.Updated,
)
add_call(
    router,
    f"{_ACCOUNT}/warmup",
    _warm_up,
    methods=["POST"],
    name="smartleadWarmup",
    summary="Update the warm-up settings",
    answer=answers.WarmupUpdated,
    body=requests.WarmupRequest,
)
add_call(
    router,
    f"{_ACCOUNT}/warmup-stats",
    _warmup_stats,
    methods=["GET"],
    name="smartleadWarmupStats",
    summary="Get the warm-up statistics of the last 7 days",
    answer=answers.WarmupStats,
)
