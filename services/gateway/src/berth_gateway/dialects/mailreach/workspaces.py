"""MailReach's calls on email workspaces."""

from collections.abc import Sequence
from typing import Final, Literal
from uuid import UUID

from fastapi import APIRouter, Request, status

from berth_events.runtime.database import Connection
from berth_gateway.accounts.connecting import StillVerifying
from berth_gateway.api.authentication import ReadsWorkspaces, WritesWorkspaces
from berth_gateway.api.idempotency import Answer
from berth_gateway.api.services import Provided, Services, context_of
from berth_gateway.dialects.mailreach.account_schemas import Success
from berth_gateway.dialects.mailreach.bodies import body_schema, read
from berth_gateway.dialects.mailreach.refusals import answers
from berth_gateway.dialects.mailreach.routing import Number, account_by, number_of, serving
from berth_gateway.dialects.mailreach.tasks import record_task
from berth_gateway.dialects.mailreach.translation import error_text
from berth_gateway.dialects.mailreach.workspace_schemas import (
    Connected,
    ConnectRequest,
    EmailWorkspace,
    Failure,
    WorkspaceRequest,
    WorkspaceUpdate,
)
from berth_gateway.errors import FieldFault, InvalidFields, NotFound
from berth_gateway.imports.schemas import Options
from berth_gateway.imports.translation import workspace_rows
from berth_gateway.tenants.keyring import Caller
from berth_gateway.workspaces.repository import WorkspaceView
from berth_gateway.workspaces.schemas import CredentialInput
from berth_gateway.workspaces.translation import NewCredential, credential_of, is_guid, midnight

__all__ = ["router"]

router = APIRouter(tags=["MailReach dialect"])

#: So many mailboxes are waited for, at most so many seconds.
_WAITED_FOR: Final = 4
_DEADLINE_S: Final = 45.0
_MANY: Final = 1000
#: Our field -> MailReach's.
_FIELDS: Final = {
    "service_account_key": "file_key_json",
    "tenant_id": "outlook_tenant_id",
    "client_id": "outlook_client_id",
    "client_secret": "outlook_client_secret_value",
    "secret_id": "outlook_client_secret",
    "secret_expires_at": "outlook_client_secret_expires_at",
}
_OURS: Final[dict[Literal["google", "outlook"], Literal["google", "microsoft"]]] = {
    "google": "google",
    "outlook": "microsoft",
}


async def _create(request: Request, services: Provided, caller: WritesWorkspaces) -> EmailWorkspace:
    """Create a workspace: one credential that acts for many mailboxes. It is verified at once, in the background."""
    body = await read(request, WorkspaceRequest)
    provider = _OURS[body.provider]
    new = await _credential(services, provider, body)

    async def command(connection: Connection) -> Answer:
        context = context_of(request)
        workspace_id = await services.workspaces.create(connection, caller.tenant, body.name, provider, new, context)
        return Answer(status.HTTP_200_OK, _shown(await _view(services, connection, caller, workspace_id)))

    return EmailWorkspace.model_validate((await services.idempotency.run(None, command)).body)


async def _list(services: Provided, caller: ReadsWorkspaces) -> list[EmailWorkspace]:
    """The workspaces of the project, by id."""
    async with services.pool.acquire() as connection:
        found = await services.workspace_repository.page(connection, caller.tenant.project_id, limit=_MANY)
    return [EmailWorkspace.model_validate(_shown(view)) for view in found]


async def _show(services: Provided, caller: ReadsWorkspaces, workspace_id: Number) -> EmailWorkspace:
    """One workspace."""
    async with services.pool.acquire() as connection:
        return EmailWorkspace.model_validate(_shown(await _by_number(services, connection, caller, workspace_id)))


async def _update(
    request: Request, services: Provided, caller: WritesWorkspaces, workspace_id: Number
) -> EmailWorkspace:
    """Change name, expiry or credential. A new credential is verified at once, in the background."""
    body = await read(request, WorkspaceUpdate)
    async with services.pool.acquire() as connection:
        found = await _by_number(services, connection, caller, workspace_id)
    faults: list[FieldFault] = []
    expires_at = midnight(body.outlook_client_secret_expires_at, services.clock.now(), faults)
    if faults:
        raise _renamed(InvalidFields(faults))
    new = await _credential(services, found.provider, body, found) if body.has_credential else None

    async def command(connection: Connection) -> Answer:
        context = context_of(request)
        workspace = await services.workspaces.lock(connection, caller.tenant, found.workspace_id)
        await services.workspaces.update(
            connection, workspace, context, name=body.name, secret_expires_at=None if new else expires_at
        )
        if new is not None:
            workspace = await services.workspaces.lock(connection, caller.tenant, found.workspace_id)
            await services.workspaces.replace_credentials(connection, workspace, new, context)
        return Answer(status.HTTP_200_OK, _shown(await _view(services, connection, caller, found.workspace_id)))

    return EmailWorkspace.model_validate((await services.idempotency.run(None, command)).body)


async def _delete(request: Request, services: Provided, caller: WritesWorkspaces, workspace_id: Number) -> Success:
    """Remove a workspace and all its accounts: the credential is erased, the seats are free at once."""

    async def command(connection: Connection) -> Answer:
        found = await _by_number(services, connection, caller, workspace_id)
        workspace = await services.workspaces.lock(connection, caller.tenant, found.workspace_id)
        await services.workspaces.remove(connection, workspace, context_of(request))
        return Answer(status.HTTP_200_OK, None)

    await services.idempotency.run(None, command)
    return Success()


async def _connect(request: Request, services: Provided, caller: WritesWorkspaces, workspace_id: Number) -> Connected:
    """Connect mailboxes through a workspace. Those that do not work are not kept.

    Up to four are waited for, and their errors are in the answer; more go on in the background, and `task_id` tells of them:
    while the workspace's credential is rejected they wait for another one.
    An address that the workspace has connected already is no error. With `imap_only` one account that has a password now is
    relinked to the workspace, once that works.
    """
    body = await read(request, ConnectRequest)
    if body.imap_only:
        return await _relink(request, services, caller, workspace_id, body)
    rows = workspace_rows(body.accounts)
    options = Options(on_failure="remove", seat_kind="spam_check" if body.spamchecker_only else "monitoring")

    async def command(connection: Connection) -> Answer:
        found = await _by_number(services, connection, caller, workspace_id)
        made = await services.imports.import_through(
            connection, caller.tenant, found.workspace_id, rows, options, context_of(request)
        )
        return Answer(status.HTTP_200_OK, str(made))

    import_id = UUID((await services.idempotency.run(None, command)).body)
    if len(rows) <= _WAITED_FOR:
        await services.import_settled.wait(import_id, within=_DEADLINE_S)
        if stopped := await _give_up(request, services, caller, import_id, body.accounts):
            return stopped
    return await _told(services, caller, import_id, body.accounts)


async def _give_up(
    request: Request, services: Services, caller: Caller, import_id: UUID, accounts: Sequence[str]
) -> Connected | None:
    """What waits for another credential of the workspace is not kept; None when nothing does."""
    async with services.pool.acquire() as connection:
        view = await services.import_repository.find(connection, caller.tenant.project_id, import_id)
        if view is None or view.rejection is None:
            return None
        waiting = await services.import_repository.rows(
            connection, caller.tenant.project_id, import_id, limit=_WAITED_FOR, states=["pending"]
        )
    account_ids = [row.account_id for row in waiting if row.account_id]
    await services.batch.run(caller.tenant, "remove", account_ids, context_of(request))
    told = await _told(services, caller, import_id, accounts)
    error = error_text(view.rejection.meaning, view.rejection.remedy)
    failures = {failure.email: failure for failure in told.errors}
    failures |= {accounts[row.row - 1]: Failure(email=accounts[row.row - 1], error=error) for row in waiting}
    return told.model_copy(update={"errors": list(failures.values())})


async def _told(services: Services, caller: Caller, import_id: UUID, accounts: Sequence[str]) -> Connected:
    """How far an import is, and what went wrong with small ones."""
    project_id = caller.tenant.project_id
    async with services.pool.acquire() as connection:
        view = await services.import_repository.find(connection, project_id, import_id)
        if view is None:
            raise NotFound
        wrong = await services.import_repository.rows(
            connection, project_id, import_id, limit=_MANY, states=("rejected", "failed", "removed")
        )
    errors = [
        Failure(email=accounts[row.row - 1], error=error_text(row.detail, row.remedy))
        for row in wrong
        if row.code != "already_connected"
    ]
    return Connected(completed=view.finished_at is not None, errors=errors, task_id=view.number)


async def _relink(
    request: Request, services: Services, caller: Caller, workspace_id: str, body: ConnectRequest
) -> Connected:
    if body.account_id is None or len(body.accounts) != 1:
        detail = "imap_only relinks one account: it needs exactly one address, and the account's id."
        raise InvalidFields([FieldFault("account_id", detail, "Send one address in accounts, and account_id.")])
    address, number = body.accounts[0].strip(), str(body.account_id)

    async def command(connection: Connection) -> Answer:
        project_id = caller.tenant.project_id
        found = await _by_number(services, connection, caller, workspace_id)
        view = await account_by(services, connection, project_id, number)
        if view.address.lower() != address.lower():
            detail = "The account of this id has another address."
            raise InvalidFields([FieldFault("accounts", detail, "Send the address of the account.")])
        through = services.workspace_accounts
        subject = await through.relink(connection, caller.tenant, found.workspace_id, view, context_of(request))
        task = await record_task(connection, project_id, [f"{view.address}: relink"], services.clock.now())
        return Answer(status.HTTP_200_OK, {"subject": str(subject), "task": task})

    begun = (await services.idempotency.run(None, command)).body
    verification = await services.settled.wait(UUID(begun["subject"]), within=_DEADLINE_S)
    if verification is None:
        raise StillVerifying
    errors = []
    if verification.outcome == "failed" and (diagnosis := verification.diagnosis):
        errors = [Failure(email=address, error=error_text(diagnosis.meaning, diagnosis.remedy))]
    return Connected(completed=True, errors=errors, task_id=begun["task"])


async def _credential(
    services: Services,
    provider: Literal["google", "microsoft"],
    body: WorkspaceUpdate,
    present: WorkspaceView | None = None,
) -> NewCredential:
    """The credential of a request; what it leaves out of an app registration is as it was."""
    known = present.identity if present else None
    secret_id = body.outlook_client_secret
    given = CredentialInput(
        service_account_key=body.file_key_json,
        tenant_id=body.outlook_tenant_id or (known and known.tenant_id),
        client_id=body.outlook_client_id or (known and known.client_id),
        client_secret=body.outlook_client_secret_value,
        secret_id=secret_id if secret_id and is_guid(secret_id) else None,
        secret_expires_at=body.outlook_client_secret_expires_at,
    )
    if provider == "google":  # what the form has for the other provider is ignored, as MailReach does
        given = CredentialInput(service_account_key=given.service_account_key)
    else:
        given = given.model_copy(update={"service_account_key": None})
    try:
        return await credential_of(provider, given, services.clock.now())
    except InvalidFields as error:
        raise _renamed(error) from None


def _renamed(error: InvalidFields) -> InvalidFields:
    return InvalidFields(
        [FieldFault(_FIELDS.get(fault.field, fault.field), fault.detail, fault.remedy) for fault in error.faults]
    )


async def _by_number(services: Services, connection: Connection, caller: Caller, number: str) -> WorkspaceView:
    repository, project_id = services.workspace_repository, caller.tenant.project_id
    workspace_id = await repository.by_number(connection, project_id, number_of(number))
    if workspace_id is None:
        raise NotFound
    return await _view(services, connection, caller, workspace_id)


async def _view(services: Services, connection: Connection, caller: Caller, workspace_id: UUID) -> WorkspaceView:
    view = await services.workspace_repository.find(connection, caller.tenant.project_id, workspace_id)
    if view is None:
        raise NotFound
    return view


def _shown(view: WorkspaceView) -> dict[str, object]:
    google = view.provider == "google"  # whose client id is not Outlook's
    shown = EmailWorkspace(
        id=view.number,
        name=view.name,
        created_at=view.created_at,
        provider="google" if google else "outlook",
        outlook_tenant_id=view.identity.tenant_id,
        outlook_client_id=None if google else view.identity.client_id,
        outlook_client_secret_expires_at=view.secret_expires_at,
    )
    return shown.model_dump(mode="json")


for _prefix, _suffix in (("/api/v1", ""), ("/v1", "Alias")):
    _serve = serving(router, f"{_prefix}/email_workspaces", _suffix)
    _serve("", "POST", _create, "mailreachCreateWorkspace", answers(400, 413), body_schema(WorkspaceRequest))
    _serve("", "GET", _list, "mailreachListWorkspaces", answers())
    _serve("/{workspace_id}", "GET", _show, "mailreachGetWorkspace", answers())
    _serve(
        "/{workspace_id}", "POST", _update, "mailreachUpdateWorkspace", answers(400, 413), body_schema(WorkspaceUpdate)
    )
    _serve("/{workspace_id}", "DELETE", _delete, "mailreachDeleteWorkspace", answers())
    _serve(
        "/{workspace_id}/accounts",
        "POST",
        _connect,
        "mailreachConnectAccounts",
        answers(400, 402, 413, 504),
        body_schema(ConnectRequest),
    )
