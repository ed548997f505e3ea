"""What is done to accounts: try again, leave alone, check up, give new credentials; for one, or for many at once."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, status
from starlette.responses import Response

from berth_gateway.accounts.change_schemas import BatchInput, BatchReport, CredentialsInput, ProbeReport, Reason
from berth_gateway.accounts.commands import ConnectAccount
from berth_gateway.accounts.connecting import Connect, Existing
from berth_gateway.accounts.presentation import account_resource, batch_report, pending_probe
from berth_gateway.accounts.schemas import Account
from berth_gateway.accounts.translation import credentials_of, mailbox_of
from berth_gateway.api.authentication import Writes
from berth_gateway.api.idempotency import Answer
from berth_gateway.api.openapi import BODY, KEY, problems
from berth_gateway.api.paths import AccountId
from berth_gateway.api.services import Provided, Services, context_of, publish
from berth_gateway.errors import FieldFault, InvalidFields, NotFound
from berth_gateway.tenants.keyring import Caller

__all__ = ["router"]

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])

_NO_REASON = Reason()


@router.post("/batch", operation_id="batchAccounts", responses=problems(*KEY, *BODY))
async def batch_accounts(request: Request, services: Provided, caller: Writes, body: BatchInput) -> BatchReport:
    """Do one thing to up to 1,000 accounts. Each is done or not on its own; the answer tells of each."""
    if body.action in {"tag", "untag"} and not body.tags:
        raise InvalidFields([FieldFault("tags", "The action needs tags.", "Name at least one.")])
    outcomes = await services.batch.run(
        caller.tenant, body.action, body.account_ids, context_of(request), tags=body.tags, reason=body.reason
    )
    return batch_report(outcomes)


@router.post(
    "/{account_id}/reconnect",
    operation_id="reconnectAccount",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(*KEY, NotFound),
)
async def reconnect_account(request: Request, services: Provided, caller: Writes, account_id: AccountId) -> Account:
    """Verify the account again now, with what it has.

    When its credential was refused within the last minute, it is not tried again: the account still shows that result.
    """
    await publish(
        services,
        lambda connection: services.changes.verify(connection, caller.tenant, account_id, context_of(request)),
    )
    return await _shown(services, caller, account_id)


@router.post(
    "/{account_id}/checkup",
    operation_id="checkUpAccount",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(*KEY, NotFound, InvalidFields),
)
async def check_up_account(request: Request, services: Provided, caller: Writes, account_id: AccountId) -> Account:
    """Send one message from the account to itself, and see how it arrives.

    `checkup` of the account then shows delay, folder, sending address and signature; the event is AccountCheckedUp.
    """
    await publish(
        services,
        lambda connection: services.changes.check_up(connection, caller.tenant, account_id, context_of(request)),
    )
    return await _shown(services, caller, account_id)


@router.post("/{account_id}/suspend", operation_id="suspendAccount", responses=problems(*KEY, *BODY, NotFound))
async def suspend_account(
    request: Request,
    services: Provided,
    caller: Writes,
    account_id: AccountId,
    body: Annotated[Reason, Body()] = _NO_REASON,
) -> Account:
    """Leave the account alone until it is resumed. Its seat stays taken."""
    context = context_of(request)
    await publish(
        services,
        lambda connection: services.changes.suspend(connection, caller.tenant, account_id, body.reason, context),
    )
    return await _shown(services, caller, account_id)


@router.post("/{account_id}/resume", operation_id="resumeAccount", responses=problems(*KEY, NotFound))
async def resume_account(request: Request, services: Provided, caller: Writes, account_id: AccountId) -> Account:
    """Look after the account again, beginning with a verification."""
    await publish(
        services,
        lambda connection: services.changes.resume(connection, caller.tenant, account_id, context_of(request)),
    )
    return await _shown(services, caller, account_id)


@router.put(
    "/{account_id}/credentials",
    operation_id="replaceCredentials",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=ProbeReport,
    responses={
        202: {"headers": {"Location": {"description": "where the result will be", "schema": {"type": "string"}}}},
        **problems(*KEY, *BODY, NotFound),
    },
)
async def replace_credentials(
    request: Request, services: Provided, caller: Writes, account_id: AccountId, body: CredentialsInput
) -> Response:
    """Give the account new servers or secrets, once they are proven, or at once.

    `Location` shows the result step by step. A request that is repeated within a minute gets the same result, without another
    login.
    """
    async with services.pool.acquire() as connection:
        view = await services.repository.find(connection, caller.tenant.project_id, account_id)
    if view is None:
        raise NotFound
    entire = credentials_of(body, view)
    command = ConnectAccount(
        mailbox=await mailbox_of(entire, services.vetting, services.autoconfig),
        provider=entire.provider or view.provider,
        first_name=view.first_name,
        last_name=view.last_name,
        seat_kind=view.seat_kind,
        on_failure="keep",
    )
    existing: Existing = "prove" if body.apply == "proven" else "replace"
    connect = Connect(command=command, existing=existing, number=view.number)
    attempt = await services.connecting.begin(connect, caller.tenant, context_of(request))
    shown = pending_probe(attempt.subject, command.mailbox)
    return Answer(status.HTTP_202_ACCEPTED, shown, {"Location": f"/v1/probes/{attempt.subject}"}).response()


async def _shown(services: Services, caller: Caller, account_id: UUID) -> Account:
    async with services.pool.acquire() as connection:
        view = await services.repository.find(connection, caller.tenant.project_id, account_id)
    if view is None:
        raise NotFound
    return account_resource(view)
