"""From a request to an endpoint that may be sent events."""

import asyncio
from typing import Final

from berth_events.contracts.base import event_types
from berth_gateway.errors import FieldFault, InvalidFields
from berth_gateway.webhooks.commands import Endpoint, EndpointChange
from berth_gateway.webhooks.schemas import WebhookChange, WebhookInput
from berth_net import HostNotFound, HostRefused, LookupFailed, PortRefused
from berth_net.http import PlainRefused, WebGuard
from berth_net.urls import InvalidUrl, WebUrl

__all__ = ["EndpointVetting", "change_of", "endpoint_of"]

_KNOWN: Final = frozenset(name for name, _ in event_types())


class EndpointVetting:
    """Refuses at the door what the delivery would refuse to connect to; it vets again, each time.

    Args:
        guard: decides which URLs may be asked.
        deadline: seconds for the resolution of the host.
    """

    def __init__(self, guard: WebGuard, *, deadline: float = 2.0) -> None:
        self._guard, self._deadline = guard, deadline

    async def vet(self, text: str) -> str:
        """The canonical form of a URL. A host whose lookup is not answered now is left to the delivery.

        Raises:
            InvalidFields: it cannot be sent to.
        """
        try:
            # once more, because its canonical form may be too long
            url = WebUrl.parse(str(self._guard.check(WebUrl.parse(text))))
            try:
                async with asyncio.timeout(self._deadline):
                    await self._guard.vet(url)
            except (LookupFailed, TimeoutError):
                pass
        except InvalidUrl as error:
            raise _refusal(str(error), "Write it as https://host/path.") from error
        except PlainRefused as error:
            raise _refusal(str(error), "Use https.") from error
        except PortRefused as error:
            raise _refusal(str(error), "Use port 443, or have the operator add it to BERTH_WEBHOOK_PORTS.") from error
        except HostRefused as error:
            remedy = "Name a public host, or have the operator add its network to BERTH_ALLOW_NETWORKS."
            raise _refusal("The host is not a name on the public Internet.", remedy) from error
        except HostNotFound as error:
            raise _refusal("The host does not exist, or has no address.", "Check its spelling.") from error
        return str(url)


async def endpoint_of(body: WebhookInput, vetting: EndpointVetting) -> Endpoint:
    """Check types and URL.

    Raises:
        InvalidFields: a type is unknown, or the URL cannot be sent to.
    """
    types = _types(body.types)
    return Endpoint(url=await vetting.vet(body.url), description=body.description, types=types, enabled=body.enabled)


async def change_of(body: WebhookChange, vetting: EndpointVetting) -> EndpointChange:
    """Check what was sent; what was left out stays as it is.

    Raises:
        InvalidFields: a type is unknown, or the URL cannot be sent to.
    """
    sent = body.model_fields_set
    return EndpointChange(
        url=await vetting.vet(body.url) if "url" in sent else None,
        description=body.description if "description" in sent else None,
        types=_types(body.types),
        replaces_types="types" in sent,
        enabled=body.enabled if "enabled" in sent else None,
    )


def _types(types: list[str] | None) -> list[str] | None:
    if types is None:
        return None
    faults = [
        FieldFault(f"types.{place}", "There is no such event type.", "Use one of docs/events.md.")
        for place, name in enumerate(types)
        if name not in _KNOWN
    ]
    if not types:
        faults.append(FieldFault("types", "The list is empty.", "Name event types, or send null for all of them."))
    if faults:
        raise InvalidFields(faults)
    return list(dict.fromkeys(types))


def _refusal(detail: str, remedy: str) -> InvalidFields:
    return InvalidFields([FieldFault("url", detail, remedy)])
