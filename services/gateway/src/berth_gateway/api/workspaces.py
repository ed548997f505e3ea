"""Email workspaces: create, list, show, change, give new credentials, remove."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, status
from starlette.responses import Response

from berth_events.runtime.database import Connection
from berth_gateway.api.authentication import ReadsWorkspaces, WritesWorkspaces
from berth_gateway.api.conditional import READ, IfChanged, IfUnchanged, tagged
from berth_gateway.api.idempotency import Answer, IdempotencyKey
from berth_gateway.api.openapi import BODY, KEY, problems
from berth_gateway.api.paths import WorkspaceId, decode_cursor, encode_cursor
from berth_gateway.api.services import Provided, Services, context_of
from berth_gateway.errors import (
    FieldFault,
    IdempotencyKeyReused,
    InvalidCursor,
    InvalidFields,
    InvalidIdempotencyKey,
    NotFound,
    PreconditionFailed,
)
from berth_gateway.tenants.keyring import Caller
from berth_gateway.workspaces.commands import Workspace
from berth_gateway.workspaces.presentation import workspace_resource
from berth_gateway.workspaces.schemas import (
    CredentialInput,
    EmailWorkspace,
    EmailWorkspaceInput,
    EmailWorkspacePage,
    EmailWorkspaceUpdate,
)
from berth_gateway.workspaces.translation import credential_of, midnight

__all__ = ["router"]

router = APIRouter(prefix="/v1/email-workspaces", tags=["email workspaces"])

_CURSOR: Final = "w"
_IDEMPOTENT: Final = (InvalidIdempotencyKey, IdempotencyKeyReused)


@router.post(
    "",
    operation_id="createWorkspace",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=EmailWorkspace,
    responses={
        202: {"headers": {"Location": {"description": "where the workspace is", "schema": {"type": "string"}}}},
        **problems(*KEY, *BODY, *_IDEMPOTENT),
    },
)
async def create_workspace(
    request: Request,
    services: Provided,
    caller: WritesWorkspaces,
    body: EmailWorkspaceInput,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Deposit the key of a Google service account, or the secret of a Microsoft app registration.

    It is accepted at once and then verified: `status` turns from `pending` to `verified` or `rejected`, which the workspace
    and the event feed tell. The credential is sealed and never shown again.
    """
    identified = await services.idempotency.identify(request, caller.key_id, idempotency_key)
    if answered := await services.idempotency.answered(identified):
        return answered.response()
    new = await credential_of(body.provider, body, services.clock.now())

    async def command(connection: Connection) -> Answer:
        workspace_id = await services.workspaces.create(
            connection, caller.tenant, body.name, body.provider, new, context_of(request)
        )
        shown = await _shown(services, connection, caller, workspace_id)
        headers = {"Location": f"/v1/email-workspaces/{workspace_id}", **tagged(shown)}
        return Answer(status.HTTP_202_ACCEPTED, shown.model_dump(mode="json"), headers)

    return (await services.idempotency.run(identified, command)).response()


@router.get("", operation_id="listWorkspaces", responses=problems(*KEY, InvalidCursor, InvalidFields))
async def list_workspaces(
    services: Provided,
    caller: ReadsWorkspaces,
    limit: Annotated[int, Query(ge=1, le=100)] = 25,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
) -> EmailWorkspacePage:
    """The email workspaces of the project, by number."""
    after = decode_cursor(_CURSOR, cursor)
    async with services.pool.acquire() as connection:
        found = await services.workspace_repository.page(
            connection, caller.tenant.project_id, after=after, limit=limit + 1
        )
    shown = found[:limit]
    return EmailWorkspacePage(
        items=[workspace_resource(view, services.clock.now()) for view in shown],
        next_cursor=encode_cursor(_CURSOR, shown[-1].number) if len(found) > limit else None,
    )


@router.get(
    "/{workspace_id}",
    operation_id="getWorkspace",
    response_model=EmailWorkspace,
    responses=READ | problems(*KEY, NotFound),
)
async def get_workspace(
    services: Provided, caller: ReadsWorkspaces, workspace_id: WorkspaceId, if_changed: IfChanged
) -> Response:
    """One email workspace: whether its credential works, and how its accounts do."""
    async with services.pool.acquire() as connection:
        return if_changed.response(await _shown(services, connection, caller, workspace_id))


@router.patch(
    "/{workspace_id}",
    operation_id="updateWorkspace",
    response_model=EmailWorkspace,
    responses=problems(*KEY, *BODY, NotFound, PreconditionFailed),
)
async def update_workspace(
    request: Request,
    services: Provided,
    caller: WritesWorkspaces,
    workspace_id: WorkspaceId,
    body: EmailWorkspaceUpdate,
    if_unchanged: IfUnchanged,
) -> Response:
    """Change the name, or the day on which the secret expires. Credentials are changed by `PUT …/credentials`."""
    faults = [
        FieldFault(name, "The value cannot be removed.", "Send another value, or leave the field out.")
        for name in sorted(body.model_fields_set)
        if getattr(body, name) is None
    ]
    expires_at = midnight(body.secret_expires_at, services.clock.now(), faults)
    if faults:
        raise InvalidFields(faults)

    async def command(connection: Connection) -> Answer:
        workspace = await _unchanged(services, connection, caller, workspace_id, if_unchanged)
        await services.workspaces.update(
            connection, workspace, context_of(request), name=body.name, secret_expires_at=expires_at
        )
        shown = await _shown(services, connection, caller, workspace_id)
        return Answer(status.HTTP_200_OK, shown.model_dump(mode="json"), tagged(shown))

    return (await services.idempotency.run(None, command)).response()


@router.put(
    "/{workspace_id}/credentials",
    operation_id="replaceWorkspaceCredentials",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=EmailWorkspace,
    responses=problems(*KEY, *BODY, *_IDEMPOTENT, NotFound, PreconditionFailed),
)
async def replace_credentials(
    request: Request,
    services: Provided,
    caller: WritesWorkspaces,
    workspace_id: WorkspaceId,
    body: CredentialInput,
    if_unchanged: IfUnchanged,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Replace the credential, all of it. The accounts are kept as they are.

    It is verified at once; until then the accounts go on with the one before, which is erased after that. When the new one is
    rejected, the accounts are paused until the next: `note` says so.
    """
    identified = await services.idempotency.identify(request, caller.key_id, idempotency_key)
    if answered := await services.idempotency.answered(identified):
        return answered.response()
    async with services.pool.acquire() as connection:
        provider = (await _shown(services, connection, caller, workspace_id)).provider
    new = await credential_of(provider, body, services.clock.now())

    async def command(connection: Connection) -> Answer:
        workspace = await _unchanged(services, connection, caller, workspace_id, if_unchanged)
        await services.workspaces.replace_credentials(connection, workspace, new, context_of(request))
        shown = await _shown(services, connection, caller, workspace_id)
        return Answer(status.HTTP_202_ACCEPTED, shown.model_dump(mode="json"), tagged(shown))

    return (await services.idempotency.run(identified, command)).response()


@router.delete(
    "/{workspace_id}",
    operation_id="removeWorkspace",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(*KEY, NotFound, PreconditionFailed),
)
async def remove_workspace(
    request: Request,
    services: Provided,
    caller: WritesWorkspaces,
    workspace_id: WorkspaceId,
    if_unchanged: IfUnchanged,
) -> None:
    """Remove a workspace and all its accounts: the credential is erased and the seats are free at once."""

    async def command(connection: Connection) -> Answer:
        workspace = await _unchanged(services, connection, caller, workspace_id, if_unchanged)
        await services.workspaces.remove(connection, workspace, context_of(request))
        return Answer(status.HTTP_204_NO_CONTENT, None)

    await services.idempotency.run(None, command)


async def _unchanged(
    services: Services,
    connection: Connection,
    caller: Caller,
    workspace_id: WorkspaceId,
    if_unchanged: IfUnchanged,
) -> Workspace:
    """The workspace, locked, if it is what the client has seen."""
    workspace = await services.workspaces.lock(connection, caller.tenant, workspace_id)
    if if_unchanged.asked:
        if_unchanged.require(await _shown(services, connection, caller, workspace_id))
    return workspace


async def _shown(
    services: Services, connection: Connection, caller: Caller, workspace_id: WorkspaceId
) -> EmailWorkspace:
    view = await services.workspace_repository.find(connection, caller.tenant.project_id, workspace_id)
    if view is None:
        raise NotFound
    return workspace_resource(view, services.clock.now())
