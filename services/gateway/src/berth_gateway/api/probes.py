"""Probes: mailboxes that are tried out before anything is kept."""

from fastapi import APIRouter, Request, status
from starlette.responses import Response

from berth_gateway.accounts.change_schemas import ProbeReport
from berth_gateway.accounts.connecting import Connect
from berth_gateway.accounts.presentation import pending_probe, probe_report
from berth_gateway.accounts.schemas import AccountInput, VerificationReport
from berth_gateway.accounts.translation import connect_of
from berth_gateway.api.authentication import Reads, Writes
from berth_gateway.api.conditional import READ, IfChanged
from berth_gateway.api.idempotency import Answer
from berth_gateway.api.openapi import BODY, KEY, problems
from berth_gateway.api.paths import ProbeId
from berth_gateway.api.services import Provided, context_of
from berth_gateway.errors import NotFound

__all__ = ["router"]

router = APIRouter(prefix="/v1/probes", tags=["accounts"])


@router.post(
    "",
    operation_id="probeMailbox",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=ProbeReport,
    responses={
        202: {"headers": {"Location": {"description": "where the result will be", "schema": {"type": "string"}}}},
        **problems(*KEY, *BODY),
    },
)
async def probe_mailbox(request: Request, services: Provided, caller: Writes, body: AccountInput) -> Response:
    """Try a mailbox out: the body of `connectAccount`, and nothing is kept. No account, no seat.

    A request that is repeated within a minute gets the same result, without another login.
    """
    command = await connect_of(body, services.vetting, services.autoconfig)
    connect = Connect(command=command, existing="refuse", dry_run=True)
    attempt = await services.connecting.begin(connect, caller.tenant, context_of(request))
    shown = pending_probe(attempt.subject, command.mailbox)
    return Answer(status.HTTP_202_ACCEPTED, shown, {"Location": f"/v1/probes/{attempt.subject}"}).response()


@router.get(
    "/{probe_id}",
    operation_id="getProbe",
    response_model=VerificationReport,
    responses={**READ, **problems(*KEY, NotFound)},
)
async def get_probe(services: Provided, caller: Reads, probe_id: ProbeId, if_changed: IfChanged) -> Response:
    """What trying out led to, step by step, for seven days. `account_id` is the probe's id."""
    async with services.pool.acquire() as connection:
        found = await services.repository.probe(connection, caller.tenant.project_id, probe_id)
    if found is None:
        raise NotFound
    return if_changed.response(probe_report(probe_id, found))
