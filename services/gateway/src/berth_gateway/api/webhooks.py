"""Webhooks: make, list, show, change, remove; rotate their secrets; test them; read and repeat their deliveries."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, status
from starlette.responses import Response

from berth_events.runtime.database import Connection
from berth_gateway.api.authentication import ReadsWebhooks, WritesWebhooks
from berth_gateway.api.conditional import READ, IfChanged, IfUnchanged, tagged
from berth_gateway.api.idempotency import Answer, IdempotencyKey
from berth_gateway.api.openapi import BODY, KEY, problems
from berth_gateway.api.paths import DeliveryId, WebhookId, decode_cursor, encode_cursor
from berth_gateway.api.services import Provided, Services
from berth_gateway.errors import (
    IdempotencyKeyReused,
    InvalidCursor,
    InvalidFields,
    InvalidIdempotencyKey,
    NotFound,
    PreconditionFailed,
    WebhookDisabled,
    WebhookLimitReached,
)
from berth_gateway.webhooks.presentation import delivery_resource, webhook_resource
from berth_gateway.webhooks.repository import DeliveryView, WebhookView
from berth_gateway.webhooks.schemas import (
    Delivery,
    DeliveryPage,
    DeliveryState,
    Recovered,
    RecoverInput,
    RevealedWebhook,
    Webhook,
    WebhookChange,
    WebhookInput,
    WebhookPage,
)
from berth_gateway.webhooks.translation import change_of, endpoint_of

__all__ = ["router"]

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

_CURSOR: Final = "w"
_LOG_CURSOR: Final = "d"
_IDEMPOTENT: Final = (InvalidIdempotencyKey, IdempotencyKeyReused)


@router.post(
    "",
    operation_id="createWebhook",
    status_code=status.HTTP_201_CREATED,
    response_model=RevealedWebhook,
    responses={
        201: {"headers": {"Location": {"description": "where the webhook is", "schema": {"type": "string"}}}},
        **problems(*KEY, *BODY, *_IDEMPOTENT, WebhookLimitReached),
    },
)
async def create_webhook(
    request: Request,
    services: Provided,
    caller: WritesWebhooks,
    body: WebhookInput,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Have the project's events sent to a URL, from now on.

    Requests are signed by the Standard Webhooks specification with `secret`, which this answer shows once.
    """
    identified = await services.idempotency.identify(request, caller.key_id, idempotency_key)
    if answered := await services.idempotency.answered(identified):
        return await _revealed(services, answered)
    endpoint = await endpoint_of(body, services.endpoint_vetting)
    project_id = caller.tenant.project_id

    async def command(connection: Connection) -> Answer:
        webhook_id, secret_id = await services.webhooks.create(connection, project_id, endpoint)
        view = await _view(services, connection, project_id, webhook_id)
        return Answer(
            status.HTTP_201_CREATED, _with_reference(view, secret_id), {"Location": f"/v1/webhooks/{webhook_id}"}
        )

    return await _revealed(services, await services.idempotency.run(identified, command))


@router.get("", operation_id="listWebhooks", responses=problems(*KEY, InvalidCursor, InvalidFields))
async def list_webhooks(
    services: Provided,
    caller: ReadsWebhooks,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
) -> WebhookPage:
    """The webhooks of the project, in the order in which they were made."""
    after = decode_cursor(_CURSOR, cursor)
    async with services.pool.acquire() as connection:
        found = await services.webhook_repository.page(
            connection, caller.tenant.project_id, after=after, limit=limit + 1
        )
    shown = found[:limit]
    return WebhookPage(
        items=[webhook_resource(view) for view in shown],
        next_cursor=encode_cursor(_CURSOR, shown[-1].number) if len(found) > limit else None,
    )


@router.get(
    "/{webhook_id}",
    operation_id="getWebhook",
    response_model=Webhook,
    responses={**READ, **problems(*KEY, NotFound)},
)
async def get_webhook(
    services: Provided, caller: ReadsWebhooks, webhook_id: WebhookId, if_changed: IfChanged
) -> Response:
    """One webhook."""
    async with services.pool.acquire() as connection:
        view = await _view(services, connection, caller.tenant.project_id, webhook_id)
    return if_changed.response(webhook_resource(view))


@router.patch(
    "/{webhook_id}",
    operation_id="changeWebhook",
    response_model=Webhook,
    responses=problems(*KEY, *BODY, NotFound, PreconditionFailed),
)
async def change_webhook(
    services: Provided,
    caller: WritesWebhooks,
    webhook_id: WebhookId,
    body: WebhookChange,
    if_unchanged: IfUnchanged,
) -> Response:
    """Change a webhook; what is left out stays as it is.

    A disabled webhook keeps what waits for it. Enabling it, or giving it another URL, sends that at once, in order.
    """
    change = await change_of(body, services.endpoint_vetting)
    project_id = caller.tenant.project_id
    async with services.pool.acquire() as connection, connection.transaction():
        await _require(services, connection, project_id, webhook_id, if_unchanged)
        await services.webhooks.change(connection, project_id, webhook_id, change)
        shown = webhook_resource(await _view(services, connection, project_id, webhook_id))
    return Answer(status.HTTP_200_OK, shown.model_dump(mode="json"), tagged(shown)).response()


@router.delete(
    "/{webhook_id}",
    operation_id="removeWebhook",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(*KEY, NotFound, PreconditionFailed),
)
async def remove_webhook(
    services: Provided, caller: WritesWebhooks, webhook_id: WebhookId, if_unchanged: IfUnchanged
) -> None:
    """Remove a webhook with its secrets, with what waits for it, and with its log."""
    async with services.pool.acquire() as connection, connection.transaction():
        await _require(services, connection, caller.tenant.project_id, webhook_id, if_unchanged)
        await services.webhooks.remove(connection, caller.tenant.project_id, webhook_id)


@router.post(
    "/{webhook_id}/rotate",
    operation_id="rotateWebhookSecret",
    response_model=RevealedWebhook,
    responses=problems(*KEY, *_IDEMPOTENT, NotFound),
)
async def rotate_webhook_secret(
    request: Request,
    services: Provided,
    caller: WritesWebhooks,
    webhook_id: WebhookId,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Make a new secret, which this answer shows once. For 24 hours the old one signs too: there are two signatures."""
    project_id = caller.tenant.project_id

    async def command(connection: Connection) -> Answer:
        secret_id = await services.webhooks.rotate(connection, project_id, webhook_id)
        view = await _view(services, connection, project_id, webhook_id)
        return Answer(status.HTTP_200_OK, _with_reference(view, secret_id))

    identified = await services.idempotency.identify(request, caller.key_id, idempotency_key)
    return await _revealed(services, await services.idempotency.run(identified, command))


@router.post(
    "/{webhook_id}/test",
    operation_id="testWebhook",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(*KEY, NotFound, WebhookDisabled),
)
async def test_webhook(services: Provided, caller: WritesWebhooks, webhook_id: WebhookId) -> Delivery:
    """Send an event of the type `webhook.test`, once. What came of it stands in the delivery a moment later."""
    project_id = caller.tenant.project_id
    async with services.pool.acquire() as connection, connection.transaction():
        delivery_id = await services.webhooks.test(connection, project_id, webhook_id)
        return delivery_resource(await _delivered(services, connection, project_id, webhook_id, delivery_id))


@router.get(
    "/{webhook_id}/deliveries",
    operation_id="listDeliveries",
    responses=problems(*KEY, InvalidCursor, InvalidFields, NotFound),
)
async def list_deliveries(
    services: Provided,
    caller: ReadsWebhooks,
    webhook_id: WebhookId,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
    state: Annotated[DeliveryState | None, Query(description="only deliveries in this state")] = None,
) -> DeliveryPage:
    """What was sent, and what is to be sent, with every attempt; the latest first."""
    before = decode_cursor(_LOG_CURSOR, cursor)
    async with services.pool.acquire() as connection:
        await _view(services, connection, caller.tenant.project_id, webhook_id)
        found = await services.webhook_repository.deliveries(
            connection, webhook_id, before=before, limit=limit + 1, state=state
        )
    shown = found[:limit]
    return DeliveryPage(
        items=[delivery_resource(view) for view in shown],
        next_cursor=encode_cursor(_LOG_CURSOR, shown[-1].number) if len(found) > limit else None,
    )


@router.get("/{webhook_id}/deliveries/{delivery_id}", operation_id="getDelivery", responses=problems(*KEY, NotFound))
async def get_delivery(
    services: Provided, caller: ReadsWebhooks, webhook_id: WebhookId, delivery_id: DeliveryId
) -> Delivery:
    """One delivery with its attempts."""
    async with services.pool.acquire() as connection:
        return delivery_resource(
            await _delivered(services, connection, caller.tenant.project_id, webhook_id, delivery_id)
        )


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/redeliver",
    operation_id="redeliver",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(*KEY, NotFound, WebhookDisabled),
)
async def redeliver(
    services: Provided, caller: WritesWebhooks, webhook_id: WebhookId, delivery_id: DeliveryId
) -> Delivery:
    """Send an event again, with the same `webhook-id`; one that waits is sent at once."""
    project_id = caller.tenant.project_id
    async with services.pool.acquire() as connection, connection.transaction():
        await services.webhooks.redeliver(connection, project_id, webhook_id, delivery_id)
        return delivery_resource(await _delivered(services, connection, project_id, webhook_id, delivery_id))


@router.post(
    "/{webhook_id}/recover",
    operation_id="recoverWebhook",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(*KEY, *BODY, NotFound, WebhookDisabled),
)
async def recover_webhook(
    services: Provided, caller: WritesWebhooks, webhook_id: WebhookId, body: RecoverInput
) -> Recovered:
    """Send everything again that failed for good since a time, in order."""
    async with services.pool.acquire() as connection, connection.transaction():
        count = await services.webhooks.recover(connection, caller.tenant.project_id, webhook_id, body.since)
    return Recovered(redelivered=count)


async def _view(services: Services, connection: Connection, project_id: UUID, webhook_id: UUID) -> WebhookView:
    view = await services.webhook_repository.find(connection, project_id, webhook_id)
    if view is None:
        raise NotFound
    return view


async def _require(
    services: Services, connection: Connection, project_id: UUID, webhook_id: UUID, if_unchanged: IfUnchanged
) -> None:
    """Go on only when the webhook is what the client has seen."""
    if if_unchanged.asked:
        view = await services.webhook_repository.locked(connection, project_id, webhook_id)
        if view is None:
            raise NotFound
        if_unchanged.require(webhook_resource(view))


async def _delivered(
    services: Services, connection: Connection, project_id: UUID, webhook_id: UUID, delivery_id: UUID
) -> DeliveryView:
    view = await services.webhook_repository.delivery(connection, project_id, webhook_id, delivery_id)
    if view is None:
        raise NotFound
    return view


def _with_reference(view: WebhookView, secret_id: UUID) -> dict[str, Any]:
    """What is stored of an answer: instead of the secret, which row has it."""
    return {**webhook_resource(view).model_dump(mode="json"), "secret": str(secret_id)}


async def _revealed(services: Services, answer: Answer) -> Response:
    """The answer with the secret itself."""
    async with services.pool.acquire() as connection:
        secret = await services.webhooks.reveal(connection, UUID(answer.body["id"]), UUID(answer.body["secret"]))
    return Answer(answer.status, {**answer.body, "secret": secret}, answer.headers).response()
