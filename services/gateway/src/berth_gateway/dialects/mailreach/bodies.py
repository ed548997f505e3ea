"""Request bodies as MailReach's clients send them: JSON, forms, and JSON that is called something else."""

import json
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile

from berth_gateway.api.problems import field_faults
from berth_gateway.errors import InvalidFields, InvalidJson

__all__ = ["body_schema", "read"]

Form = TypeVar("Form", bound=BaseModel)

_MAX_FIELDS = 100


async def read(request: Request, form: type[Form]) -> Form:
    """The body, as JSON or as a form; what looks like JSON is, whatever its content type says. Null is absent.

    What the body does not have may be in the query.

    Raises:
        InvalidJson: it is neither.
        InvalidFields: all faults, each field by its name in MailReach's API.
    """
    raw = await request.body()
    content_type = request.headers.get("content-type", "")
    if not raw.strip():
        fields: Any = {}
    elif "json" in content_type or raw.lstrip().startswith(b"{"):
        try:
            fields = json.loads(raw)
        except (ValueError, RecursionError):
            raise InvalidJson from None
        if not isinstance(fields, dict):
            raise InvalidJson
    else:
        fields = await _fields(await request.form(max_files=1, max_fields=_MAX_FIELDS))
    try:
        fields = {**request.query_params, **{name: value for name, value in fields.items() if value is not None}}
        return form.model_validate(fields)
    except ValidationError as error:
        raise InvalidFields(field_faults(error.errors(include_url=False, include_input=False))) from None


async def _fields(form: FormData) -> dict[str, Any]:
    """The fields of a form; `name[]`, as forms write lists, is a list, and a file is its text."""
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        text = (await value.read()).decode("utf-8", "replace") if isinstance(value, UploadFile) else value
        if name.endswith("[]"):
            fields.setdefault(name.removesuffix("[]"), []).append(text)
        else:
            fields[name] = text
    return fields


def body_schema(form: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """What the OpenAPI document says of a body that `read` reads."""
    schema = {"schema": form.model_json_schema(ref_template="#/components/schemas/{model}")}
    return {
        "requestBody": {
            "required": required,
            "content": {"application/json": schema, "application/x-www-form-urlencoded": schema},
        }
    }
