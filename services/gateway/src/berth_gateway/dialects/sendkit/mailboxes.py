"""`/v1/mailboxes`: add, test, list, show, change, delete."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from berth_events.runtime.database import Connection
from berth_gateway import feed
from berth_gateway.accounts.connecting import Connect
from berth_gateway.accounts.listing import Listed
from berth_gateway.accounts.views import AccountView
from berth_gateway.api.idempotency import Answer
from berth_gateway.api.paths import decode_cursor, encode_cursor
from berth_gateway.api.services import Provided, Services, context_of
from berth_gateway.dialects.sendkit import repository
from berth_gateway.dialects.sendkit.authentication import Reads, Writes
from berth_gateway.dialects.sendkit.presentation import connection_test, created, health, mailbox, updated
from berth_gateway.dialects.sendkit.refusals import ConsentUnavailable
from berth_gateway.dialects.sendkit.requests import CreateMailbox, Filters, UpdateMailbox, read
from berth_gateway.dialects.sendkit.routing import JSON, KEYED, answer, made, route, schema_of
from berth_gateway.dialects.sendkit.schemas import (
    ConnectionTest,
    Created,
    CreatedMailbox,
    Health,
    Mailbox,
    MailboxPage,
    Pagination,
    Success,
    UpdatedMailbox,
    shown,
)
from berth_gateway.dialects.sendkit.translation import change_of, connect_of, filter_of
from berth_gateway.errors import FieldFault, InvalidFields, NotFound
from berth_gateway.tenants.keyring import Caller

__all__ = ["MailboxId", "find_mailbox", "identify", "page_of", "router"]

router = APIRouter(prefix="/v1/mailboxes", tags=["SendKit dialect"])

_CURSOR: Final = "m"
_QUEUED: Final = (
    "Mailbox queued for SMTP verification. Poll GET /v1/mailboxes/:id/connection-test until status is no longer "
    '"inactive".'
)

MailboxId = Annotated[str, Path(description="`_id`: 24 hexadecimal digits", examples=["665b1c2d3e4f5a6b7c8d9e0f"])]


async def identify(connection: Connection, caller: Caller, mailbox_id: str, *, removed: bool = False) -> UUID:
    """The account with this id.

    Raises:
        NotFound: the workspace has no such mailbox, or never had one if removed ones are asked for.
    """
    found = await repository.mailbox_id(connection, caller.tenant.project_id, mailbox_id, removed=removed)
    if found is None:
        raise NotFound("Mailbox not found")
    return found


async def find_mailbox(
    connection: Connection, services: Services, caller: Caller, mailbox_id: str, *, removed: bool = False
) -> AccountView:
    """What is known of a mailbox.

    Raises:
        NotFound: as `identify`.
    """
    found = await identify(connection, caller, mailbox_id, removed=removed)
    view = await services.repository.find(connection, caller.tenant.project_id, found, removed=removed)
    if view is None:  # removed since then
        raise NotFound("Mailbox not found")
    return view


async def _create(request: Request, services: Provided, caller: Writes) -> Response:
    """Add a mailbox by SMTP and IMAP.

    It is answered at once, `inactive`. Then it is verified, and becomes `active`, or is deleted and its seat released, which
    `connection-test` tells. The same request, sent again within a minute of a failure, gets the same answer, without another
    login.
    """
    command = await connect_of(await read(request, CreateMailbox), services.vetting, services.autoconfig)
    attempt = await services.connecting.begin(
        Connect(command=command, existing="refuse"), caller.tenant, context_of(request)
    )
    async with services.pool.acquire() as connection:
        view = await services.repository.find(connection, caller.tenant.project_id, attempt.subject, removed=True)
    if view is None:  # it was a dry run, by another API, that failed with the same credentials
        detail = "The server refused these credentials less than a minute ago."
        raise InvalidFields([FieldFault("smtp.password", detail, "Check them, and wait for a minute.")])
    return JSONResponse(
        {"success": True, "data": shown(created(view)), "message": _QUEUED},
        status_code=201,
    )


async def _test(services: Provided, caller: Reads, mailbox_id: MailboxId) -> Response:
    """What the verification said: `pending`, `passed` or `failed`.

    A mailbox that failed was deleted; it is reported here all the same, with the reason. 404 is for ids that no mailbox of the
    workspace ever had.
    """
    async with services.pool.acquire() as connection:
        view = await find_mailbox(connection, services, caller, mailbox_id, removed=True)
    tested = connection_test(view).model_dump(mode="json", exclude_none=True)
    return JSONResponse({"success": True, "data": tested})


async def page_of(services: Services, caller: Caller, query: Filters) -> tuple[list[AccountView], Pagination]:
    """The mailboxes that the query asks for, in the order they were added, and where in the list that is."""
    only = filter_of(query)
    after = decode_cursor(_CURSOR, query.cursor)
    if only is None:
        found = Listed(accounts=[], total=0)
    else:
        async with services.pool.acquire() as connection:
            found = await services.repository.page(
                connection,
                caller.tenant.project_id,
                limit=query.limit + 1,
                after=after,
                offset=0 if query.cursor else (query.page - 1) * query.limit,
                only=only,
                total=True,
            )
    views, total = found.accounts[: query.limit], found.total or 0
    return views, Pagination(
        page=query.page,
        limit=query.limit,
        total=total,
        pages=-(-total // query.limit),
        next_cursor=encode_cursor(_CURSOR, views[-1].number) if len(found.accounts) > query.limit else None,
    )


async def _list(services: Provided, caller: Reads, query: Filters) -> Response:
    """The mailboxes of the workspace, in the order they were added."""
    views, pagination = await page_of(services, caller, query)
    return JSONResponse(
        {"success": True, "data": [shown(mailbox(view)) for view in views], "pagination": shown(pagination)}
    )


async def _get(services: Provided, caller: Reads, mailbox_id: MailboxId) -> Response:
    """One mailbox."""
    async with services.pool.acquire() as connection:
        return answer(mailbox(await find_mailbox(connection, services, caller, mailbox_id)))


async def _health(services: Provided, caller: Reads, mailbox_id: MailboxId) -> Response:
    """How a mailbox is, with the DNS of its domain."""
    async with services.pool.acquire() as connection:
        return answer(health(await find_mailbox(connection, services, caller, mailbox_id)))


async def _update(request: Request, services: Provided, caller: Writes, mailbox_id: MailboxId) -> Response:
    """Change name, limit, signature, tags, or whether it is to be sent from."""
    change = change_of(await read(request, UpdateMailbox))

    async def command(connection: Connection) -> Answer:
        account_id = await identify(connection, caller, mailbox_id)
        entries = await services.changes.update(connection, caller.tenant, account_id, change, context_of(request))
        await feed.publish(connection, entries)
        view = await find_mailbox(connection, services, caller, mailbox_id)
        return Answer(200, {"success": True, "data": shown(updated(view))})

    return (await services.idempotency.run(None, command)).response()


async def _delete(request: Request, services: Provided, caller: Writes, mailbox_id: MailboxId) -> Response:
    """Delete a mailbox: its credential is erased and its seat is free at once."""

    async def command(connection: Connection) -> Answer:
        account_id = await identify(connection, caller, mailbox_id)
        removed = await services.accounts.remove(connection, caller.tenant, account_id, context_of(request))
        await feed.publish(connection, removed)
        return Answer(200, None)

    await services.idempotency.run(None, command)
    return made("Mailbox removed")


async def _consent(_services: Provided, _caller: Writes) -> Response:
    """Refused: the consent of one mailbox's owner needs an OAuth client, which Berth does not have.

    Email workspaces connect the mailboxes of a whole organization: `POST /v1/email-workspaces`.
    """
    raise ConsentUnavailable


_CREATE: Final = {
    **KEYED,
    403: "The workspace's owner lacks a subscription or has hit the limit, or the key may not do this.",
    409: "The workspace has a mailbox of this address.",
}

route(
    router, "POST ", _create, operation="sendkitCreateMailbox", summary="Add SMTP mailbox", status=201,
    model=Created[CreatedMailbox], body=(JSON, schema_of(CreateMailbox)), refusals=_CREATE,
)  # fmt: skip
route(router, "GET ", _list, operation="sendkitListMailboxes", summary="List mailboxes", model=MailboxPage)
for _product in ("google", "outlook"):
    route(
        router, f"POST /connect/{_product}", _consent, operation=f"sendkitConnect{_product.title()}",
        summary=f"Connect a mailbox by consent ({_product})",
    )  # fmt: skip
route(
    router, "GET /{mailbox_id}/connection-test", _test, operation="sendkitConnectionTest", summary="Test result",
    model=Success[ConnectionTest],
)  # fmt: skip
route(
    router, "GET /{mailbox_id}/health", _health, operation="sendkitMailboxHealth", summary="Mailbox health",
    model=Success[Health],
)  # fmt: skip
route(router, "GET /{mailbox_id}", _get, operation="sendkitGetMailbox", summary="Get mailbox", model=Success[Mailbox])
route(
    router, "PATCH /{mailbox_id}", _update, operation="sendkitUpdateMailbox", summary="Update mailbox",
    model=Success[UpdatedMailbox], body=(JSON, schema_of(UpdateMailbox)),
)  # fmt: skip
route(router, "DELETE /{mailbox_id}", _delete, operation="sendkitDeleteMailbox", summary="Delete mailbox")
