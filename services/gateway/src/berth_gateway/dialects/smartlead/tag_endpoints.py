"""SmartLead's calls on tags."""

from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from berth_events.runtime.database import Connection
from berth_gateway.accounts.tags import DEFAULT_COLOR
from berth_gateway.accounts.views import Tag
from berth_gateway.api.idempotency import Answer
from berth_gateway.api.services import Provided, Services, context_of
from berth_gateway.dialects.smartlead import answers, presentation, requests
from berth_gateway.dialects.smartlead.calls import add_call
from berth_gateway.dialects.smartlead.reading import Document, Reads, Writes
from berth_gateway.dialects.smartlead.refusals import invalid, tag_not_found
from berth_gateway.errors import NotFound
from berth_gateway.tenants.keyring import Caller

__all__ = ["router"]

router = APIRouter(tags=["SmartLead dialect"])


def _shown(tag: Tag) -> dict[str, Any]:
    return {"id": tag.number, "name": tag.name, "color": tag.color}


async def _all(services: Provided, caller: Reads) -> Response:
    """Every tag of the project."""
    async with services.pool.acquire() as connection:
        found = await services.tags.all(connection, caller.tenant.project_id)
    return JSONResponse({"ok": True, "data": [_shown(tag) for tag in found]})


async def _create(services: Provided, caller: Writes, document: Document) -> Response:
    """Make a tag. When there is one of the name already, whatever its case, this is the answer, as it is."""
    form = requests.parsed(requests.NewTag, document)

    return await _made(services, caller, form)


async def _made(services: Services, caller: Caller, form: requests.NewTag) -> Response:
    async def command(connection: Connection) -> Answer:
        color = form.color or DEFAULT_COLOR
        tag = await services.tags.ensure(connection, caller.tenant.project_id, form.name, color)
        return Answer(200, {"ok": True, "data": _shown(tag)})

    return (await services.idempotency.run(None, command)).response()


async def _change(services: Provided, caller: Writes, document: Document) -> Response:
    """Rename and recolour a tag; without `id`, or with 0, make one."""
    form = requests.parsed(requests.TagChange, document)
    number = form.id
    if not number:
        return await _made(services, caller, form)

    async def command(connection: Connection) -> Answer:
        try:
            tag = await services.tags.change(
                connection, caller.tenant.project_id, number, name=form.name, color=form.color
            )
        except NotFound:
            raise tag_not_found() from None
        return Answer(200, {"ok": True, "data": _shown(tag)})

    return (await services.idempotency.run(None, command)).response()


async def _list(services: Provided, caller: Reads, document: Document) -> Response:
    """The tags of some addresses. Those that are no accounts are left out."""
    form = requests.parsed(requests.TagListRequest, document)
    async with services.pool.acquire() as connection:
        views = await services.smartlead.labelling.of_addresses(connection, caller.tenant.project_id, form.email_ids)
    shown = [
        {
            "email_account_id": view.number,
            "from_email": view.address,
            "email_id": view.address,
            "tags": [presentation.tag(tag) for tag in view.tags],
        }
        for view in views
    ]
    return JSONResponse({"ok": True, "data": shown})


async def _give(request: Request, services: Provided, caller: Writes, document: Document) -> Response:
    """Give tags to up to 25 accounts, beside those that they have."""
    form = requests.parsed(requests.TagMapping, document)
    accounts, tags = _accounts(form), set(form.tag_ids)

    async def command(connection: Connection) -> Answer:
        context = context_of(request)
        views = await services.smartlead.labelling.give(connection, caller.tenant, accounts, form.tag_ids, context)
        skipped = sum(tag.number in tags for view in views for tag in view.tags)
        done = {"created": len(views) * len(tags) - skipped, "skipped": skipped}
        return Answer(200, _mapped("Tags added to email accounts successfully", done))

    return (await services.idempotency.run(None, command)).response()


async def _take(request: Request, services: Provided, caller: Writes, document: Document) -> Response:
    """Take tags from accounts. What an account does not carry, or does not exist, is passed over."""
    form = requests.parsed(requests.TagRemoval, document)
    accounts, tags = _accounts(form), set(form.tag_ids)

    async def command(connection: Connection) -> Answer:
        context = context_of(request)
        views = await services.smartlead.labelling.take(connection, caller.tenant, accounts, form.tag_ids, context)
        deleted = sum(tag.number in tags for view in views for tag in view.tags)
        done = {"deleted": deleted, "skipped": len(set(accounts)) * len(tags) - deleted}
        return Answer(200, _mapped("Tags removed from email accounts successfully", done))

    return (await services.idempotency.run(None, command)).response()


def _accounts(form: requests.TagMapping | requests.TagRemoval) -> list[int | str]:
    accounts: list[int | str] = [*(form.email_account_ids or ()), *(form.emails or ())]
    if not accounts:
        raise invalid(["email_account_ids is required"])
    return accounts


def _mapped(message: str, done: dict[str, int]) -> dict[str, Any]:
    """What both generations of clients look for: `ok` or `success`, and how many pairs of account and tag it was."""
    summary = {"total_processed": sum(done.values()), **done, "failed": 0}
    return {"ok": True, "success": True, "message": message, "data": {"summary": summary}}


_TAKEN: Final[dict[int | str, str]] = {409: "Another tag has the name."}

add_call(
    router,
    "/email-accounts/tags",
    _all,
    methods=["GET"],
    name="smartleadTags",
    summary="Get all tags",
    answer=answers.TagsAnswer,
)
add_call(
    router,
    "/tags",
    _create,
    methods=["POST"],
    name="smartleadCreateTag",
    summary="Create a tag",
    answer=answers.TagAnswer,
    body=requests.NewTag,
    errors=_TAKEN,
)
add_call(
    router,
    "/email-accounts/tag-manager",
    _change,
    methods=["POST"],
    name="smartleadUpdateTag",
    summary="Update a tag",
    answer=answers.TagAnswer,
    body=requests.TagChange,
    errors=_TAKEN,
)
add_call(
    router,
    "/email-accounts/tag-list",
    _list,
    methods=["POST"],
    name="smartleadTagList",
    summary="Get the tags of email accounts by address",
    answer=answers.TagLists,
    body=requests.TagListRequest,
)
add_call(
    router,
    "/email-accounts/tag-mapping",
    _give,
    methods=["POST"],
    name="smartleadAddTags",
    summary="Add tags to email accounts",
    answer=answers.TagsGiven,
    body=requests.TagMapping,
)
add_call(
    router,
    "/email-accounts/tag-mapping",
    _take,
    methods=["DELETE"],
    name="smartleadRemoveTags",
    summary="Remove tags from email accounts",
    answer=answers.TagsTaken,
    body=requests.TagRemoval,
)
