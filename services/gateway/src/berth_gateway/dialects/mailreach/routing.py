"""How MailReach's paths are served, and the numbers in them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path

from berth_events.runtime.database import Connection
from berth_gateway.errors import NotFound

if TYPE_CHECKING:
    from berth_gateway.accounts.views import AccountView
    from berth_gateway.api.services import Services

__all__ = ["Number", "account_by", "number_of", "serving"]

#: MailReach's ids are 32-bit numbers; what is none is not found.
Number = Annotated[str, Path(json_schema_extra={"type": "integer", "format": "int32"})]


def serving(router: APIRouter, prefix: str, suffix: str = "") -> Callable[..., None]:
    """What serves a call below the prefix, with and without a slash at its end: clients follow no redirects.

    Args:
        router: takes the routes.
        prefix: before the path of each call.
        suffix: behind the operation ids, where the calls are served under two prefixes.
    """

    def serve(
        path: str,
        method: str,
        endpoint: Callable[..., Any],
        operation: str,
        responses: dict[int | str, dict[str, Any]],
        body: dict[str, Any] | None = None,
        status: int = 200,
    ) -> None:
        router.add_api_route(
            prefix + path,
            endpoint,
            methods=[method],
            operation_id=operation + suffix,
            responses=responses,
            openapi_extra=body,
            status_code=status,
        )
        router.add_api_route(
            f"{prefix}{path}/", endpoint, methods=[method], include_in_schema=False, status_code=status
        )

    return serve


def number_of(text: str) -> int:
    """The number in a path.

    Raises:
        NotFound: it is none of 32 bits.
    """
    if not text.isascii() or not text.isdecimal() or len(text) > 10 or int(text) > 2**31 - 1:  # noqa: PLR2004 - 2^31 has 10
        raise NotFound
    return int(text)


async def account_by(services: "Services", connection: Connection, project_id: UUID, number: str) -> "AccountView":
    """The account of a number.

    Raises:
        NotFound: the project has none.
    """
    account_id = await services.repository.by_number(connection, project_id, number_of(number))
    view = account_id and await services.repository.find(connection, project_id, account_id)
    if not view:
        raise NotFound
    return view
