"""SmartLead's calls on the accounts of campaigns. Berth keeps which accounts belong to which campaign, and nothing else of it."""

from typing import TYPE_CHECKING, Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from starlette.responses import Response

from berth_events.runtime.database import Connection
from berth_gateway.accounts.bulk import chunks
from berth_gateway.accounts.schemas import instant
from berth_gateway.api.idempotency import Answer
from berth_gateway.api.services import Provided
from berth_gateway.dialects.smartlead import answers, presentation, requests
from berth_gateway.dialects.smartlead.calls import add_call
from berth_gateway.dialects.smartlead.reading import CampaignNumber, Document, Reads, Writes
from berth_gateway.dialects.smartlead.refusals import account_not_found

if TYPE_CHECKING:
    from berth_gateway.accounts.views import AccountView

__all__ = ["router"]

_PATH: Final = "/campaigns/{campaign_id}/email-accounts"

router = APIRouter(tags=["SmartLead dialect"])


async def _list(services: Provided, caller: Reads, campaign: CampaignNumber) -> Response:
    """The accounts of a campaign, by id."""
    project_id = caller.tenant.project_id
    async with services.pool.acquire() as connection:
        account_ids = await services.smartlead.campaigns.accounts(connection, project_id, campaign)
        views: list[AccountView] = []
        for some in chunks(account_ids):  # thousands of them: others have their turn in between
            views += await services.repository.views(connection, project_id, some)
        campaigns = await services.smartlead.campaigns.of(connection, account_ids)
    user = presentation.user_number(project_id)
    return JSONResponse([presentation.listed(view, user, campaigns.get(view.account_id, [])) for view in views])


async def _add(services: Provided, caller: Writes, campaign: CampaignNumber, document: Document) -> Response:
    """Put accounts into a campaign: all of them, or none when one does not exist."""
    numbers = requests.parsed(requests.CampaignAccounts, document).email_account_ids

    async def command(connection: Connection) -> Answer:
        members = await services.smartlead.campaigns.add(connection, caller.tenant.project_id, campaign, numbers)
        missing = sorted(set(numbers) - {member.account for member in members})
        if missing:
            raise account_not_found(missing[0])
        result = [
            {
                "id": member.number,
                "email_campaign_id": campaign,
                "email_account_id": member.account,
                "updated_at": instant(member.updated_at),
            }
            for member in members
        ]
        return Answer(200, {"ok": True, "result": result})

    return (await services.idempotency.run(None, command)).response()


async def _remove(services: Provided, caller: Writes, campaign: CampaignNumber, document: Document) -> Response:
    """Take accounts out of a campaign; those that are not in it are passed over."""
    numbers = requests.parsed(requests.CampaignAccounts, document).email_account_ids

    async def command(connection: Connection) -> Answer:
        removed = await services.smartlead.campaigns.remove(connection, caller.tenant.project_id, campaign, numbers)
        return Answer(200, {"ok": True, "result": removed})

    return (await services.idempotency.run(None, command)).response()


add_call(
    router,
    _PATH,
    _list,
    methods=["GET"],
    name="smartleadCampaignAccounts",
    summary="List the email accounts of a campaign",
    answer=answers.AccountList,
)
add_call(
    router,
    _PATH,
    _add,
    methods=["POST"],
    name="smartleadAddCampaignAccounts",
    summary="Add email accounts to a campaign",
    answer=answers.CampaignResult,
    body=requests.CampaignAccounts,
)
add_call(
    router,
    _PATH,
    _remove,
    methods=["DELETE"],
    name="smartleadRemoveCampaignAccounts",
    summary="Remove email accounts from a campaign",
    answer=answers.CampaignRemoval,
    body=requests.CampaignAccounts,
)
