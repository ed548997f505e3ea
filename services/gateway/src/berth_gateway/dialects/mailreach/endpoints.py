"""MailReach's call to connect an account."""

from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from berth_gateway.api.authentication import Writes
from berth_gateway.api.services import Provided, context_of
from berth_gateway.dialects.mailreach.bodies import body_schema, read
from berth_gateway.dialects.mailreach.refusals import answers
from berth_gateway.dialects.mailreach.schemas import Account, DryRunAccount, ImapAuthError, ImapAuthRequest

__all__ = ["router"]

#: Where MailReach's clients look for it; both forms are served with a slash behind them, too.
_PATHS: Final = ("/api/v1/imap_auth", "/v1/imap_auth")

router = APIRouter(tags=["MailReach dialect"])


async def _imap_auth(request: Request, services: Provided, caller: Writes) -> Response:
    """Connect, update or only test one mailbox by IMAP and SMTP, and answer when it is known whether it works.

    The mailbox is saved only if it works. With `id`, or when the project has the address, that account gets the new
    credentials if they work and keeps the old ones if not. With `test` nothing is saved at all. A request that is repeated
    within a minute is answered from the last result, without another login.
    """
    answer = await services.mailreach.authenticate(
        await read(request, ImapAuthRequest), caller.tenant, context_of(request), request.state.request_id
    )
    return JSONResponse(answer.model_dump(mode="json"), status_code=500 if isinstance(answer, ImapAuthError) else 200)


_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": Account | DryRunAccount,
        "description": "It works. With `test` the answer also has the three success flags.",
    },
    500: {
        "model": ImapAuthError,
        "description": "It does not work; nothing was saved.",
    },
    **answers(400, 402, 413, 504),
}

for _path in _PATHS:
    router.add_api_route(
        _path,
        _imap_auth,
        methods=["POST"],
        operation_id="imapAuth" if _path.startswith("/api") else "imapAuthAlias",
        summary="Connect an account via IMAP/SMTP",
        responses=_RESPONSES,
        openapi_extra=body_schema(ImapAuthRequest),
    )
    router.add_api_route(_path + "/", _imap_auth, methods=["POST"], include_in_schema=False)
