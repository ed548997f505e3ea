"""APIs of other products, each a thin translation onto the same commands and views."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from berth_gateway.errors import GatewayError

__all__ = ["Dialect"]


class Dialect(Protocol):
    """What the package of a dialect offers."""

    @property
    def ROUTERS(self) -> Sequence[APIRouter]:  # noqa: N802 - a constant of a module
        """Its calls."""
        ...

    @property
    def EXAMPLES(self) -> Mapping[str, Mapping[str, Any]]:  # noqa: N802 - a constant of a module
        """Its examples, by operation and then by status or `request`."""
        ...

    def owns(self, path: str) -> bool:
        """Whether a path is its own."""
        ...

    def refusal(self, error: GatewayError, request: UUID) -> Response:
        """An error in its own form."""
        ...
