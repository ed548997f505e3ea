"""Tags: labels of the project that accounts carry."""

from typing import Annotated

from fastapi import APIRouter, Path, status
from pydantic import BaseModel, Field

from berth_events.runtime.database import Connection
from berth_gateway.accounts.schemas import Input, TagName, TagReference
from berth_gateway.accounts.tags import DEFAULT_COLOR
from berth_gateway.accounts.views import Tag
from berth_gateway.api.authentication import Reads, Writes
from berth_gateway.api.idempotency import Answer
from berth_gateway.api.openapi import BODY, KEY, problems
from berth_gateway.api.services import Provided
from berth_gateway.errors import InvalidFields, NotFound, TagNameTaken

__all__ = ["router"]

router = APIRouter(prefix="/v1/tags", tags=["accounts"])

TagId = Annotated[int, Path(ge=1, le=2**31 - 1)]
Color = Annotated[str, Field(pattern="^#[0-9A-Fa-f]{6}$", examples=[DEFAULT_COLOR])]


class TagInput(Input):
    """A new tag."""

    name: TagName
    color: Color = DEFAULT_COLOR


class TagUpdate(Input):
    """What is to be different; left out or null: unchanged."""

    name: TagName | None = None
    color: Color | None = None


class TagList(BaseModel):
    """All tags of the project, by id."""

    items: list[TagReference]


@router.get("", operation_id="listTags", responses=problems(*KEY))
async def list_tags(services: Provided, caller: Reads) -> TagList:
    """Every tag of the project."""
    async with services.pool.acquire() as connection:
        found = await services.tags.all(connection, caller.tenant.project_id)
    return TagList(items=[_shown(tag) for tag in found])


@router.post(
    "",
    operation_id="createTag",
    status_code=status.HTTP_201_CREATED,
    responses=problems(*KEY, *BODY, TagNameTaken),
)
async def create_tag(services: Provided, caller: Writes, body: TagInput) -> TagReference:
    """Make a tag. Tags that an account is given by name are made by that, too."""
    async with services.pool.acquire() as connection, connection.transaction():
        return _shown(await services.tags.create(connection, caller.tenant.project_id, body.name, body.color))


@router.patch(
    "/{tag_id}", operation_id="updateTag", responses=problems(*KEY, *BODY, NotFound, TagNameTaken, InvalidFields)
)
async def update_tag(services: Provided, caller: Writes, tag_id: TagId, body: TagUpdate) -> TagReference:
    """Rename or recolour a tag."""
    async with services.pool.acquire() as connection, connection.transaction():
        project_id = caller.tenant.project_id
        return _shown(await services.tags.change(connection, project_id, tag_id, name=body.name, color=body.color))


@router.delete(
    "/{tag_id}",
    operation_id="deleteTag",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(*KEY, NotFound, InvalidFields),
)
async def delete_tag(services: Provided, caller: Writes, tag_id: TagId) -> None:
    """Delete a tag, and take it from the accounts that carry it."""

    async def command(connection: Connection) -> Answer:
        await services.tags.delete(connection, caller.tenant.project_id, tag_id)
        return Answer(status.HTTP_204_NO_CONTENT, None)

    await services.idempotency.run(None, command)


def _shown(tag: Tag) -> TagReference:
    return TagReference(id=tag.number, name=tag.name, color=tag.color)
