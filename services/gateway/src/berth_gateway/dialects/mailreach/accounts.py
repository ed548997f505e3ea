"""MailReach's calls on accounts that exist."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, status

from berth_events.runtime.database import Connection
from berth_gateway import feed
from berth_gateway.accounts.mailboxes import Change
from berth_gateway.api.authentication import Reads, Writes
from berth_gateway.api.idempotency import Answer
from berth_gateway.api.services import Provided, context_of, publish
from berth_gateway.dialects.mailreach.account_schemas import (
    AccountUpdate,
    Alias,
    Graph,
    Link,
    LinkRequest,
    Queued,
    Statistics,
    Success,
)
from berth_gateway.dialects.mailreach.bodies import body_schema, read
from berth_gateway.dialects.mailreach.refusals import answers
from berth_gateway.dialects.mailreach.routing import Number, account_by, number_of, serving
from berth_gateway.dialects.mailreach.schemas import Account
from berth_gateway.dialects.mailreach.translation import account, change_of
from berth_gateway.errors import FieldFault, InvalidFields, NotFound

__all__ = ["router"]

router = APIRouter(tags=["MailReach dialect"])

_PAGE: Final = 100
_MAX_DAYS: Final = 180
_MAX_PAGE: Final = 1_000_000


async def _ping(caller: Reads) -> Success:
    """Whether the key is good."""
    del caller
    return Success()


async def _list(services: Provided, caller: Reads, page: Annotated[str, Query()] = "1") -> list[Account]:
    """The accounts, by id, 100 a page; an empty list ends the paging. A page below 1 is the first."""
    number = _count("page", page, _MAX_PAGE)
    async with services.pool.acquire() as connection:
        found = await services.repository.page(
            connection, caller.tenant.project_id, limit=_PAGE, offset=(max(number, 1) - 1) * _PAGE
        )
    return [account(view) for view in found.accounts]


async def _show(services: Provided, caller: Reads, account_id: Number) -> Account:
    """One account."""
    async with services.pool.acquire() as connection:
        return account(await account_by(services, connection, caller.tenant.project_id, account_id))


async def _update(request: Request, services: Provided, caller: Writes, account_id: Number) -> Account:
    """Change settings; what is not passed stays as it is. Answers the changed account."""
    asked = change_of(await read(request, AccountUpdate))

    async def change(connection: Connection) -> list[feed.Entry]:
        view = await account_by(services, connection, caller.tenant.project_id, account_id)
        return await services.changes.update(connection, caller.tenant, view.account_id, asked, context_of(request))

    await publish(services, change)
    return await _show(services, caller, account_id)


async def _delete(
    request: Request,
    services: Provided,
    caller: Writes,
    account_id: Number,
    disconnect_reason: Annotated[str | None, Query(description="accepted, and not kept")] = None,
) -> Success:
    """Remove an account; its credential is erased, its seat is free at once."""
    del disconnect_reason

    async def change(connection: Connection) -> list[feed.Entry]:
        view = await account_by(services, connection, caller.tenant.project_id, account_id)
        return await services.accounts.remove(connection, caller.tenant, view.account_id, context_of(request))

    await publish(services, change)
    return Success()


async def _reconnect(request: Request, services: Provided, caller: Writes, account_id: Number) -> Queued:
    """Verify an account again; one that is suspended is resumed. A password refused within the last minute is not tried."""

    async def change(connection: Connection) -> list[feed.Entry]:
        view = await account_by(services, connection, caller.tenant.project_id, account_id)
        entries = await services.changes.resume(connection, caller.tenant, view.account_id, context_of(request))
        return entries + await services.changes.verify(connection, caller.tenant, view.account_id, context_of(request))

    await publish(services, change)
    return Queued(job_id=request.state.request_id)


async def _suspend(request: Request, services: Provided, caller: Writes, account_id: Number) -> Account:
    """Leave an account alone. Its seat stays taken."""

    async def change(connection: Connection) -> list[feed.Entry]:
        view = await account_by(services, connection, caller.tenant.project_id, account_id)
        return await services.changes.suspend(connection, caller.tenant, view.account_id, "", context_of(request))

    await publish(services, change)
    return await _show(services, caller, account_id)


async def _check_up(request: Request, services: Provided, caller: Writes, account_id: Number) -> Queued:
    """Send a message from the account to itself; `sending_ip` and the like then show what it told."""

    async def change(connection: Connection) -> list[feed.Entry]:
        view = await account_by(services, connection, caller.tenant.project_id, account_id)
        return await services.changes.check_up(connection, caller.tenant, view.account_id, context_of(request))

    await publish(services, change)
    return Queued(job_id=request.state.request_id)


async def _statistics(
    services: Provided,
    caller: Reads,
    account_id: Number,
    provider: Annotated[str | None, Query(description="gmail, outlook or others")] = None,
    past_days: Annotated[str, Query(description="0 to 180")] = "14",
) -> Statistics:
    """What a warm-up network would have counted: zeros."""
    if provider not in {None, "", "gmail", "outlook", "others"}:
        raise InvalidFields([FieldFault("provider", "There is no such provider.", "Send gmail, outlook or others.")])
    _count("past_days", past_days, _MAX_DAYS)
    async with services.pool.acquire() as connection:
        await account_by(services, connection, caller.tenant.project_id, account_id)
    return Statistics()


async def _aliases(services: Provided, caller: Reads, account_id: Number) -> list[Alias]:
    """The addresses that the account may send from besides its own."""
    async with services.pool.acquire() as connection:
        view = await account_by(services, connection, caller.tenant.project_id, account_id)
        found = await services.repository.aliases(connection, caller.tenant.project_id, view.account_id)
    return [Alias(email=address, name=name) for address, name in found or ()]


async def _link(request: Request, services: Provided, caller: Writes, tag_id: Number) -> Link:
    """Give an account a tag that the project has."""
    asked = await read(request, LinkRequest)
    number = number_of(tag_id)

    async def command(connection: Connection) -> Answer:
        project_id = caller.tenant.project_id
        names = await services.tags.names(connection, project_id, [number])
        view = await account_by(services, connection, project_id, str(asked.account_id))
        if number not in names:
            raise NotFound
        change = Change(tags=[*(tag.name for tag in view.tags), names[number]])
        entries = await services.changes.update(connection, caller.tenant, view.account_id, change, context_of(request))
        await feed.publish(connection, entries)
        return Answer(status.HTTP_200_OK, Link(id=number, name=names[number]).model_dump())

    return Link.model_validate((await services.idempotency.run(None, command)).body)


async def _graph(services: Provided, caller: Reads, account_id: Number, kind: str) -> Graph:
    """What a warm-up network would have counted by day: no points."""
    del kind
    async with services.pool.acquire() as connection:
        await account_by(services, connection, caller.tenant.project_id, account_id)
    return Graph()


def _count(field: str, text: str, highest: int) -> int:
    digits = text.strip().removeprefix("-")
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 9 or int(digits) > highest:  # noqa: PLR2004 - far above any
        raise InvalidFields([FieldFault(field, "The value is not a number in range.", f"Send 0 to {highest}.")])
    return int(text)


for _prefix, _suffix in (("/api/v1", ""), ("/v1", "Alias")):
    serving(router, _prefix, _suffix)("/ping", "GET", _ping, "mailreachPing", answers())
_serve = serving(router, "/api/v1")
_serve("/accounts", "GET", _list, "mailreachListAccounts", answers())
_serve("/tags/{tag_id}/link", "POST", _link, "mailreachLinkTag", answers(400, 413), body_schema(LinkRequest))
_serve("/conversation_message_logs/{account_id}/{kind}/graph", "GET", _graph, "mailreachGraph", answers())
_serve = serving(router, "/api/v1/accounts/{account_id}")
_serve("", "GET", _show, "mailreachGetAccount", answers())
_serve("", "POST", _update, "mailreachUpdateAccount", answers(400, 413), body_schema(AccountUpdate))
_serve("", "DELETE", _delete, "mailreachDeleteAccount", answers())
_serve("/reconnect", "POST", _reconnect, "mailreachReconnect", answers(), status=status.HTTP_201_CREATED)
_serve("/suspend", "POST", _suspend, "mailreachSuspend", answers())
_serve("/checkup", "POST", _check_up, "mailreachCheckup", answers(), status=status.HTTP_201_CREATED)
_serve("/stats", "GET", _statistics, "mailreachStats", answers())
_serve("/aliases", "GET", _aliases, "mailreachAliases", answers())
