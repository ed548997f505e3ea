"""SmartLead's calls that are about no account in particular: save, list, and reconnect all that failed."""

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from berth_events.runtime.database import Connection
from berth_gateway.api.idempotency import Answer
from berth_gateway.api.services import Provided, Services, context_of
from berth_gateway.dialects.smartlead import answers, presentation, requests
from berth_gateway.dialects.smartlead.calls import add_call
from berth_gateway.dialects.smartlead.reading import Document, Query, Reads, Writes
from berth_gateway.dialects.smartlead.translation import filter_of
from berth_gateway.tenants.keyring import Caller

__all__ = ["router"]

router = APIRouter(tags=["SmartLead dialect"])


async def _save(request: Request, services: Provided, caller: Writes, document: Document) -> Response:
    """Add a mailbox, or with `id` update one, and answer when it is known whether it works.

    The account is kept even if it does not: the answer is 400, and the account is marked with its errors. The same request again
    is answered the same, without another login within a minute. An address that is an account already is refused with its id.
    With `token` instead of `password` it is an OAuth account.
    """
    return await _saved(request, services, caller, requests.parsed(requests.SaveRequest, document))


async def _save_oauth(request: Request, services: Provided, caller: Writes, document: Document) -> Response:
    """Add a mailbox of Google or Microsoft by an OAuth access token, or with `id` give one a fresh token.

    Berth signs in with the access token and cannot renew it: it has not the secrets of your OAuth application. When the token
    has expired the account is marked as failed, until this call brings another one. Email workspaces need no such renewal.
    """
    return await _saved(request, services, caller, requests.parsed(requests.SaveOAuthRequest, document))


async def _saved(
    request: Request, services: Services, caller: Caller, form: requests.SaveRequest | requests.SaveOAuthRequest
) -> Response:
    saved = await services.smartlead.saving.save(form, caller.tenant, context_of(request))
    return JSONResponse(saved.body, status_code=200 if saved.works else 400)


async def _list(services: Provided, caller: Reads, query: Query) -> Response:
    """The accounts of the project, by id. Filters are combined: an account is shown when it fits all of them."""
    form = requests.parsed(requests.ListQuery, query)
    project_id = caller.tenant.project_id
    async with services.pool.acquire() as connection:
        page = await services.repository.page(
            connection, project_id, limit=form.limit, offset=form.offset, only=filter_of(form)
        )
        campaigns = await services.smartlead.campaigns.of(connection, [view.account_id for view in page.accounts])
    user = presentation.user_number(project_id)
    shown = []
    for view in page.accounts:
        of_view = campaigns.get(view.account_id, [])
        shown.append(presentation.listed(view, user, of_view))
        if form.fetch_campaigns:
            shown[-1]["campaign_ids"] = of_view
    return JSONResponse(shown)


async def _reconnect(request: Request, services: Provided, caller: Writes) -> Response:
    """Have every account that does not work tried again; at most three times in 24 hours. The results are events, not mail."""

    async def command(connection: Connection) -> Answer:
        await services.smartlead.reconnecting.reconnect(connection, caller.tenant, context_of(request))
        message = "Email account(s) added to the queue to reconnect. We will send you an email once completed."
        return Answer(200, {"ok": True, "message": message})

    return (await services.idempotency.run(None, command)).response()


_ACCOUNTS: Final = "/email-accounts"
_CONNECTION_FAILED: Final[dict[int | str, str]] = {
    400: "The connection failed, or the address is an account already.",
    504: "The verification goes on: send the same request again.",
}

add_call(
    router,
    f"{_ACCOUNTS}/save",
    _save,
    methods=["POST"],
    name="smartleadSave",
    summary="Add or update an SMTP email account",
    answer=answers.Saved,
    body=requests.SaveRequest,
    errors=_CONNECTION_FAILED,
)
add_call(
    router,
    f"{_ACCOUNTS}/save-oauth",
    _save_oauth,
    methods=["POST"],
    name="smartleadSaveOauth",
    summary="Add or update an OAuth email account",
    answer=answers.OAuthSaved,
    body=requests.SaveOAuthRequest,
    errors=_CONNECTION_FAILED,
)
add_call(
    router,
    f"{_ACCOUNTS}/reconnect-failed-email-accounts",
    _reconnect,
    methods=["POST"],
    name="smartleadReconnectFailed",
    summary="Reconnect failed email accounts",
    answer=answers.Told,
    body=requests.ReconnectRequest,
    errors={404: "No account has failed.", 406: "It was called three times in 24 hours already."},
)
add_call(
    router,
    _ACCOUNTS,
    _list,
    methods=["GET"],
    name="smartleadList",
    summary="Get all email accounts",
    answer=answers.AccountList,
    query=requests.ListQuery,
)
