"""Conditional requests (RFC 9110 §13): what was read once is not sent again, and what somebody else changed is not overwritten.

Every single resource has a strong entity tag, a hash of its representation, computed when it is asked for. An endpoint that
shows one takes `IfChanged` and answers with it; it declares `response_model` and `responses=READ | problems(…)`:

    async def get_thing(…, if_changed: IfChanged) -> Response:
        return if_changed.response(shown)

One that changes or removes it takes `IfUnchanged` and lists `PreconditionFailed` among its problems. Inside of the transaction
that makes the change, after the row was locked, it shows what is there, as GET would:

    async def command(connection: Connection) -> Answer:
        thing = await services.things.locked(connection, …)   # SELECT … FOR UPDATE
        if_unchanged.require(shown(thing))
        …
        return Answer(200, shown, tagged(shown))
"""

import hashlib
import json
import re
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Request, status
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from berth_gateway.errors import PreconditionFailed

__all__ = ["READ", "IfChanged", "IfUnchanged", "etag_of", "tagged"]

#: An entity tag (RFC 9110 §8.8.3), or the asterisk that stands for any.
_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"|\*')
#: Clients may keep what they read, for themselves, and have to ask whether it still holds.
_CACHE: Final = {"Cache-Control": "private, no-cache"}

#: The `responses` of an endpoint that answers with `IfChanged`.
READ: Final[dict[int | str, dict[str, Any]]] = {
    200: {"headers": {"ETag": {"description": "for If-None-Match and If-Match", "schema": {"type": "string"}}}},
    304: {"description": "It is what If-None-Match names."},
}


def etag_of(shown: BaseModel) -> str:
    """The strong entity tag of a representation, with its quotes."""
    text = json.dumps(shown.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return f'"{hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]}"'


def tagged(shown: BaseModel) -> dict[str, str]:
    """The headers of an answer that shows a resource after it was made or changed."""
    return {"ETag": etag_of(shown)}


class _IfChanged:
    def __init__(self, tags: list[str]) -> None:
        self._tags = tags

    def response(self, shown: BaseModel) -> Response:
        """200 with the resource, or 304 when the client has it as it is."""
        tag = etag_of(shown)
        headers = {"ETag": tag, **_CACHE}
        if any(known in ("*", tag, f"W/{tag}") for known in self._tags):  # weak comparison (§13.1.2)
            return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
        return JSONResponse(shown.model_dump(mode="json"), headers=headers)


class _IfUnchanged:
    def __init__(self, tags: list[str] | None) -> None:
        self._tags = tags

    @property
    def asked(self) -> bool:
        """Whether the request has a condition at all; else what is there need not be read."""
        return self._tags is not None

    def require(self, shown: BaseModel) -> None:
        """Go on only when the resource is still what the client has seen.

        Raises:
            PreconditionFailed: it is not.
        """
        if self._tags is not None and "*" not in self._tags and etag_of(shown) not in self._tags:  # strong (§13.1.1)
            raise PreconditionFailed


def _tags(request: Request, name: str) -> list[str] | None:
    values = request.headers.getlist(name)
    return _TAG.findall(", ".join(values)) if values else None


async def _if_changed(
    request: Request,
    _if_none_match: Annotated[str | None, Header(alias="If-None-Match", description="an ETag: 304 if it holds")] = None,
) -> _IfChanged:
    return _IfChanged(_tags(request, "if-none-match") or [])


async def _if_unchanged(
    request: Request,
    _if_match: Annotated[str | None, Header(alias="If-Match", description="an ETag: 412 if it holds no more")] = None,
) -> _IfUnchanged:
    return _IfUnchanged(_tags(request, "if-match"))


IfChanged = Annotated[_IfChanged, Depends(_if_changed)]
IfUnchanged = Annotated[_IfUnchanged, Depends(_if_unchanged)]
