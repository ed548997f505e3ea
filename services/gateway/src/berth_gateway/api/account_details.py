"""What belongs to an account: statistics and aliases."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request

from berth_gateway.accounts.change_schemas import AliasInput, AliasList, Statistics
from berth_gateway.accounts.mailboxes import Change
from berth_gateway.accounts.presentation import statistics
from berth_gateway.accounts.translation import aliases_of
from berth_gateway.api.authentication import Reads, Writes
from berth_gateway.api.openapi import BODY, KEY, problems
from berth_gateway.api.paths import AccountId
from berth_gateway.api.services import Provided, context_of, publish
from berth_gateway.errors import InvalidFields, NotFound

__all__ = ["router"]

router = APIRouter(prefix="/v1/accounts/{account_id}", tags=["accounts"])


@router.get("/stats", operation_id="getStatistics", responses=problems(*KEY, NotFound, InvalidFields))
async def get_statistics(
    services: Provided, caller: Reads, account_id: AccountId, past_days: Annotated[int, Query(ge=0, le=180)] = 14
) -> Statistics:
    """How the account did: verifications and failures by day, today included."""
    since = (services.clock.now() - timedelta(days=past_days)).date()
    async with services.pool.acquire() as connection:
        days = await services.repository.days(connection, caller.tenant.project_id, account_id, since)
    if days is None:
        raise NotFound
    return statistics(account_id, past_days, days)


@router.get("/aliases", operation_id="listAliases", responses=problems(*KEY, NotFound))
async def list_aliases(services: Provided, caller: Reads, account_id: AccountId) -> AliasList:
    """The addresses that the account may send from besides its own."""
    async with services.pool.acquire() as connection:
        found = await services.repository.aliases(connection, caller.tenant.project_id, account_id)
    if found is None:
        raise NotFound
    return AliasList(aliases=[AliasInput(email=address, name=name) for address, name in found])


@router.put("/aliases", operation_id="setAliases", responses=problems(*KEY, *BODY, NotFound))
async def set_aliases(
    request: Request, services: Provided, caller: Writes, account_id: AccountId, body: AliasList
) -> AliasList:
    """Say which addresses the account may send from besides its own: these and no others."""
    change = Change(aliases=aliases_of(body))

    await publish(
        services,
        lambda connection: services.changes.update(connection, caller.tenant, account_id, change, context_of(request)),
    )
    return await list_aliases(services, caller, account_id)
