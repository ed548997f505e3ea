"""MailReach's alerts: webhooks of Berth under MailReach's names. Its reference does not print their bodies."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Request, status
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from berth_events.runtime.database import Connection
from berth_gateway.accounts.schemas import Instant, Text
from berth_gateway.api.authentication import ReadsWebhooks, WritesWebhooks
from berth_gateway.api.idempotency import Answer
from berth_gateway.api.services import Provided
from berth_gateway.dialects.mailreach.account_schemas import Success
from berth_gateway.dialects.mailreach.bodies import body_schema, read
from berth_gateway.dialects.mailreach.refusals import answers
from berth_gateway.dialects.mailreach.routing import Number, number_of, serving
from berth_gateway.dialects.mailreach.schemas import absent_when_blank
from berth_gateway.errors import NotFound
from berth_gateway.webhooks.repository import WebhookView
from berth_gateway.webhooks.schemas import WebhookInput
from berth_gateway.webhooks.translation import endpoint_of

__all__ = ["AlertRequest", "router"]

router = APIRouter(tags=["MailReach dialect"])

AlertEvent = Literal["Account disconnected", "Account reconnected", "All"]

#: What each of MailReach's events is among Berth's.
_TYPES: Final[dict[AlertEvent, list[str] | None]] = {
    "Account disconnected": ["AccountConnectionFailed", "AccountDisconnected"],
    "Account reconnected": ["AccountConnected", "AccountReconnected"],
    "All": None,
}
_MANY: Final = 1000


class AlertRequest(BaseModel):
    """Where to, and of what."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    url: Annotated[Text, Field(validation_alias=AliasChoices("url", "webhook_url"))]
    event: Annotated[AlertEvent, BeforeValidator(lambda value: absent_when_blank(value) or "Account disconnected")] = (
        "Account disconnected"
    )


class Alert(BaseModel):
    """An alert. `secret` signs what is sent, and is shown once."""

    id: int
    url: str
    event: AlertEvent
    created_at: Instant
    secret: str | None = None


async def _create(request: Request, services: Provided, caller: WritesWebhooks) -> Alert:
    """Have events of the project's accounts sent to a URL, signed by the Standard Webhooks specification."""
    body = await read(request, AlertRequest)
    asked = WebhookInput(url=body.url, description=f"MailReach alert: {body.event}", types=_TYPES[body.event])
    endpoint = await endpoint_of(asked, services.endpoint_vetting)

    async def command(connection: Connection) -> Answer:
        project_id = caller.tenant.project_id
        webhook_id, secret_id = await services.webhooks.create(connection, project_id, endpoint)
        view = await services.webhook_repository.find(connection, project_id, webhook_id)
        secret = await services.webhooks.reveal(connection, webhook_id, secret_id)
        if view is None:
            raise NotFound
        return Answer(status.HTTP_200_OK, _shown(view).model_copy(update={"secret": secret}))

    made: Alert = (await services.idempotency.run(None, command)).body
    return made


async def _list(services: Provided, caller: ReadsWebhooks) -> list[Alert]:
    """The project's webhooks, by id."""
    async with services.pool.acquire() as connection:
        found = await services.webhook_repository.page(connection, caller.tenant.project_id, after=0, limit=_MANY)
    return [_shown(view) for view in found]


async def _delete(services: Provided, caller: WritesWebhooks, alert_id: Number) -> Success:
    """Send no more. What waits to be sent goes with it."""
    number, project_id = number_of(alert_id), caller.tenant.project_id

    async def command(connection: Connection) -> Answer:
        found = await services.webhook_repository.page(connection, project_id, after=number - 1, limit=1)
        if not found or found[0].number != number:
            raise NotFound
        await services.webhooks.remove(connection, project_id, found[0].webhook_id)
        return Answer(status.HTTP_200_OK, None)

    await services.idempotency.run(None, command)
    return Success()


def _shown(view: WebhookView) -> Alert:
    kinds = {frozenset(types or ()): event for event, types in _TYPES.items()}
    return Alert(
        id=view.number, url=view.url, event=kinds.get(frozenset(view.types or ()), "All"), created_at=view.created_at
    )


_serve = serving(router, "/api/v1/alerts")
_serve("", "POST", _create, "mailreachCreateAlert", answers(400, 409, 413), body_schema(AlertRequest))
_serve("", "GET", _list, "mailreachListAlerts", answers())
_serve("/{alert_id}", "DELETE", _delete, "mailreachDeleteAlert", answers())
