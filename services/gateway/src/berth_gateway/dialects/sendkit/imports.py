"""`/v1/mailboxes/import`: many mailboxes from a CSV file."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import Response

from berth_gateway.accounts.servers import ServerVetting
from berth_gateway.api.services import Provided, Services, context_of
from berth_gateway.autoconfig.lookup import Autoconfig
from berth_gateway.dialects.sendkit.authentication import Writes
from berth_gateway.dialects.sendkit.importing import Importer, Row
from berth_gateway.dialects.sendkit.requests import CreateMailbox, checked
from berth_gateway.dialects.sendkit.routing import FORM, KEYED, answer, route
from berth_gateway.dialects.sendkit.schemas import ImportReport, Success
from berth_gateway.dialects.sendkit.translation import connect_of
from berth_gateway.errors import FieldFault, InvalidFields
from berth_gateway.imports.csv_reader import CsvRow, read_csv
from berth_gateway.tenants.keyring import Caller

__all__ = ["router"]

router = APIRouter(prefix="/v1/mailboxes/import", tags=["SendKit dialect"])

_MAX_ROWS: Final = 500
#: Makes the fields of a new mailbox of a row's.
_Mailbox: TypeAlias = Callable[[Mapping[str, Any]], dict[str, Any]]

_OUTLOOK: Final = {"host": "smtp.office365.com", "port": 587}


async def _smtp(request: Request, services: Provided, caller: Writes) -> Response:
    """Add mailboxes of a CSV file with the columns email, password, smtphost, imaphost, and others that may be left out.

    At most 500 rows, of which 20 are tested at a time. The answer says what became of each, and those that do not work are not
    kept. With `skipConnectionTest` they are `pending` at once, and kept whatever the test says. Addresses that are there already
    are skipped.
    """
    form = await _form(request)
    tags = [form.tag] if form.tag else []
    return await _import(form, request, services, caller, lambda given: _smtp_mailbox(given, tags), keep=form.skip)


async def _outlook(request: Request, services: Provided, caller: Writes) -> Response:
    """Add mailboxes at Microsoft by password: a CSV file with email and password, and name.

    They send through smtp.office365.com:587 with STARTTLS; Microsoft takes no passwords for IMAP. They are `pending` at once,
    and kept whatever their test says. A `totpsecret` is not used, and not stored.
    """
    return await _import(await _form(request), request, services, caller, _outlook_mailbox, keep=True)


@dataclass(frozen=True, slots=True)
class _Form:
    """What was uploaded: the file, a tag for all, and whether tests are not waited for."""

    content: bytes
    tag: str
    skip: bool


async def _form(request: Request) -> _Form:
    """The form.

    Raises:
        InvalidFields: it has no file.
    """
    content, texts = b"", dict[str, str]()
    with contextlib.suppress(HTTPException):  # it is no form
        async with request.form(max_files=1, max_fields=20) as form:
            texts = {name: value.strip() for name, value in form.items() if isinstance(value, str)}
            file = form.get("file")
            content = await file.read() if isinstance(file, UploadFile) else (file or "").encode("utf-8", "replace")
    if not content:
        remedy = "Send multipart/form-data with a CSV file as `file`."
        raise InvalidFields([FieldFault("file", "There is no file.", remedy)])
    skip = texts.get("skipConnectionTest", "").lower() in {"true", "1", "yes"}
    return _Form(content, texts.get("tag", ""), skip)


async def _import(
    form: _Form, request: Request, services: Services, caller: Caller, mailbox: _Mailbox, *, keep: bool
) -> Response:
    found = read_csv(form.content, max_rows=_MAX_ROWS, unknown_columns=True)
    vetting = services.import_vetting()
    rows = await asyncio.gather(*(_row(row, vetting, services.autoconfig, mailbox, keep=keep) for row in found))
    importer = Importer(services, caller.tenant, context_of(request), wait=not keep)
    return answer(await importer.run(rows))


async def _row(row: CsvRow, vetting: ServerVetting, autoconfig: Autoconfig, mailbox: _Mailbox, *, keep: bool) -> Row:
    """A row as a mailbox, or why it is none."""
    email = str(row.account.get("email", "")).lower()
    if row.fault is not None:
        return Row(email=email, fault=row.fault.detail)
    try:
        body = checked(CreateMailbox, mailbox(row.account))
        kept: Literal["keep", "remove"] = "keep" if keep else "remove"
        command = await connect_of(body, vetting, autoconfig, on_failure=kept, only_sends=True)
    except InvalidFields as error:
        return Row(email=email, fault="; ".join(f"{fault.field}: {fault.detail}" for fault in error.faults))
    except _Missing as error:
        return Row(email=email, fault=str(error))
    return Row(email=email, command=command)


class _Missing(Exception):
    """A cell is empty that has to be filled in."""


def _smtp_mailbox(given: Mapping[str, Any], tags: list[str]) -> dict[str, Any]:
    smtp, imap = given.get("smtp", {}), given.get("imap", {})
    password = smtp.get("password") or given.get("password")
    if "host" not in smtp or password is None:
        raise _Missing("Missing SMTP host or password")
    if "host" not in imap:
        raise _Missing("Missing IMAP host")
    username = smtp.get("username") or given.get("email", "")
    taken = ("host", "port", "username", "password")
    return {
        **_common(given),
        "smtp": {"host": smtp["host"], "port": smtp["port"], "username": username, "password": password},
        "imap": {name: imap[name] for name in taken if name in imap},
        "tags": tags,
    }


def _outlook_mailbox(given: Mapping[str, Any]) -> dict[str, Any]:
    if "password" not in given:
        raise _Missing("Missing password")
    smtp = {**_OUTLOOK, "username": given.get("email", ""), "password": given["password"]}
    return {**_common(given), "provider": "outlook", "smtp": smtp}


def _common(given: Mapping[str, Any]) -> dict[str, Any]:
    name = f"{given.get('first_name', '')} {given.get('last_name', '')}".strip()
    return {"email": given.get("email"), "displayName": name, "provider": given.get("provider")}


def _body(**fields: Any) -> tuple[str, dict[str, Any]]:
    file = {"type": "string", "format": "binary", "description": "CSV, UTF-8"}
    return FORM, {"type": "object", "required": ["file"], "properties": {"file": file, **fields}}


_REFUSALS: Final = {**KEYED, 403: "No subscription, fewer seats than new addresses, or the key may not do this."}

route(
    router, "POST /smtp", _smtp, operation="sendkitImportSmtp", summary="Import SMTP mailboxes", model=Success[ImportReport],
    body=_body(
        tag={"type": "string", "description": "for every mailbox"},
        skipConnectionTest={"type": "string", "enum": ["true", "false"]},
    ),
    refusals=_REFUSALS,
)  # fmt: skip
route(
    router, "POST /outlook", _outlook, operation="sendkitImportOutlook", summary="Import Outlook mailboxes",
    model=Success[ImportReport], body=_body(), refusals=_REFUSALS,
)  # fmt: skip
