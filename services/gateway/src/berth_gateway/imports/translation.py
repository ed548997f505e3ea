"""From a request to rows: what is wrong with one is said of it, and the others go on."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from berth_gateway.accounts.addresses import InvalidAddress, MailAddress
from berth_gateway.accounts.bulk import chunks
from berth_gateway.accounts.mailboxes import Mailbox
from berth_gateway.accounts.schemas import AccountInput
from berth_gateway.accounts.servers import ServerVetting
from berth_gateway.accounts.translation import mailbox_of
from berth_gateway.api.problems import field_faults
from berth_gateway.autoconfig.lookup import FindsServers
from berth_gateway.errors import FieldFault, InvalidFields
from berth_gateway.imports.csv_reader import CsvRow
from berth_gateway.imports.plan import Candidate, Row, rejected
from berth_gateway.imports.schemas import WorkspaceMailboxInput
from berth_gateway.workspaces.mailboxes import ImportedMailbox

__all__ = ["PasswordMailbox", "csv_rows", "password_rows", "workspace_rows"]

_FIELDS: Final = frozenset({"email", "first_name", "last_name", "provider", "password", "imap", "smtp"})
_SHOWN: Final = 320


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordMailbox:
    """A mailbox with a password of its own."""

    mailbox: Mailbox
    account: AccountInput


def workspace_rows(accounts: Sequence[str | WorkspaceMailboxInput]) -> list[Row[ImportedMailbox]]:
    """Rows of an import through a workspace, numbered from 1. Takes about 20 µs of CPU each."""
    rows: list[Row[ImportedMailbox]] = []
    for number, account in enumerate(accounts, 1):
        given = WorkspaceMailboxInput(email=account) if isinstance(account, str) else account
        try:
            address = MailAddress.parse(given.email)
        except InvalidAddress as error:
            fault = FieldFault("email", str(error), "Write it as name@example.com.")
            rows.append(Row(number=number, email=_shown(given.email), content=rejected([fault])))
            continue
        mailbox = ImportedMailbox(address=address, first_name=given.first_name, last_name=given.last_name)
        content = Candidate(address=address, mailbox=mailbox)
        rows.append(Row(number=number, email=address.text, content=content))
    return rows


def csv_rows(accounts: Sequence[Mapping[str, Any]]) -> list[CsvRow]:
    """The rows of a JSON body, numbered from 1, as those of a file."""
    return [CsvRow(number, dict(account)) for number, account in enumerate(accounts, 1)]


async def password_rows(
    rows: Sequence[CsvRow], vetting: ServerVetting, finder: FindsServers
) -> list[Row[PasswordMailbox]]:
    """Rows of an import with passwords; hosts are vetted side by side.

    Args:
        rows: not validated yet.
        vetting: remembers what it said of a host.
        finder: finds the servers of rows that name none.
    """
    read: list[Row[PasswordMailbox]] = []
    for some in chunks(rows):
        read += await asyncio.gather(*(_password_row(row, vetting, finder) for row in some))
    return read


async def _password_row(row: CsvRow, vetting: ServerVetting, finder: FindsServers) -> Row[PasswordMailbox]:
    email = _shown(row.account.get("email"))
    try:
        account = _account(row)
        mailbox = await mailbox_of(account, vetting, finder)
    except InvalidFields as error:
        return Row(number=row.number, email=email, content=rejected(error.faults))
    content = Candidate(
        address=mailbox.address,
        mailbox=PasswordMailbox(mailbox=mailbox, account=account),
        filled_in=mailbox.filled_in,
    )
    return Row(number=row.number, email=mailbox.address.text, content=content)


def _account(row: CsvRow) -> AccountInput:
    if row.fault is not None:
        raise InvalidFields([row.fault])
    if foreign := sorted(row.account.keys() - _FIELDS):
        # names that strangers wrote are not repeated: a cell may have slipped into them
        detail = f"{len(foreign)} of the fields are not known."
        raise InvalidFields([FieldFault("account", detail, f"Send only {', '.join(sorted(_FIELDS))}.")])
    try:
        return AccountInput.model_validate({"provider": "custom", **row.account})
    except ValidationError as error:
        raise InvalidFields(field_faults(error.errors(include_input=False, include_url=False))) from None


def _shown(email: object) -> str:
    """What was written for an address, when it looks like one; else it may be anything, even a password."""
    if not isinstance(email, str) or email.count("@") != 1:
        return ""
    return "".join(character if character.isprintable() else "\ufffd" for character in email.strip())[:_SHOWN]
