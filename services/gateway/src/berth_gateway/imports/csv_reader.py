"""CSV files of mailboxes, as spreadsheets and other products write them."""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from berth_gateway.accounts.servers import default_security
from berth_gateway.errors import FieldFault, InvalidFields

__all__ = ["COLUMNS", "FORMULA", "CsvRow", "read_csv"]

#: Spreadsheets take a cell that begins like this for a formula, also in full width; an apostrophe before it makes it text.
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

#: Heading (in lower case, without blanks, `_`, `-` and `.`) -> where the cell goes.
COLUMNS: Final[Mapping[str, str]] = {
    "email": "email",
    "emailaddress": "email",
    "address": "email",
    "password": "password",
    "firstname": "first_name",
    "lastname": "last_name",
    "displayname": "display_name",
    "name": "display_name",
    "provider": "provider",
    **{
        f"{protocol}{suffix}": f"{protocol}.{name}"
        for protocol in ("imap", "smtp")
        for suffix, name in (
            ("host", "host"),
            ("server", "host"),
            ("port", "port"),
            ("secure", "secure"),
            ("security", "security"),
            ("username", "username"),
            ("user", "username"),
            ("password", "password"),
        )
    },
}
#: Further columns of the file of rejected rows, which is mended and sent again.
_OURS: Final = ("row", "code", "detail", "remedy", "existingaccountid")
_PORTS: Final = {"imap": "993", "smtp": "587"}
#: Cells that are kept as they are: a blank may belong to a password.
_VERBATIM: Final = ("password", "imap.password", "smtp.password")
_DELIMITERS: Final = (",", ";", "\t")
_TRUE: Final = ("true", "yes", "1", "ssl", "tls")
_MAX_COLUMNS: Final = 200
#: Excel's word on what delimits; it shows no row for it.
_SEPARATOR: Final = re.compile(r"\s*sep=([,;\t])[ ,;\t]*(?:\r\n|\r|\n)", re.IGNORECASE)
_BYTE_ORDER_MARKS: Final = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}

# the largest body is the limit: a cell that is too long is its row's fault alone
csv.field_size_limit(2**31 - 1)


@dataclass(frozen=True, slots=True)
class CsvRow:
    """A row, numbered as spreadsheets do: the heading is row 1.

    Attributes:
        account: fields as `POST /v1/accounts` takes them; not validated.
        fault: what is wrong with the row as a row.
    """

    number: int
    account: dict[str, Any]
    fault: FieldFault | None = None


def read_csv(content: bytes, *, max_rows: int, unknown_columns: bool = False) -> list[CsvRow]:
    """Read a file with a heading; blank rows are left out, but counted.

    Args:
        content: UTF-8, with or without byte order mark, or UTF-16 with one; commas, semicolons or tabs; RFC 4180 quotes; any
            line ends.
        max_rows: more are refused.
        unknown_columns: leave columns out that are not known, instead of refusing the file.

    Raises:
        InvalidFields: the file as a whole cannot be read. The message has row and column, and never a cell.
    """
    records = _records(content)
    heading = next((cells for _, cells in records if any(cell.strip() for cell in cells)), [])
    columns = _columns(heading, unknown_columns=unknown_columns)
    rows: list[CsvRow] = []
    for number, cells in records:
        if not any(cell.strip() for cell in cells):
            continue
        if len(rows) == max_rows:
            raise _refused(f"The file has more than {max_rows:,} rows.", "Send it in several files.")
        if len(cells) > len(columns) and any(cell.strip() for cell in cells[len(columns) :]):
            # of which column a cell is cannot be told any more: nothing of the row is used, or shown
            remedy = "Put cells that have the delimiter in them into quotes."
            fault = FieldFault("row", f"The row has {len(cells)} cells for {len(columns)} columns.", remedy)
            rows.append(CsvRow(number, {}, fault))
        else:
            rows.append(CsvRow(number, _account(dict(zip(columns, cells, strict=False)))))
    return rows


def _records(content: bytes) -> Iterator[tuple[int, list[str]]]:
    try:
        text = content.decode(_BYTE_ORDER_MARKS.get(content[:2], "utf-8-sig"))
    except UnicodeDecodeError as error:
        remedy = "Save the file as CSV UTF-8."
        raise _refused(f"The file is not UTF-8 at byte {error.start}.", remedy) from None
    if separator := _SEPARATOR.match(text):
        delimiter, text = separator[1], text[separator.end() :]
    else:
        heading, *_ = text.lstrip().splitlines() or [""]
        delimiter = max(_DELIMITERS, key=heading.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    try:
        for number, cells in enumerate(reader, 1):
            yield number, cells
    except csv.Error:
        detail = f"Row {number + 1} has a quotation mark where none can be, or no end."
        raise _refused(detail, 'Put the cell into quotes, and write quotation marks in it twice: "".') from None


def _columns(heading: Sequence[str], *, unknown_columns: bool) -> list[str | None]:
    columns: list[str | None] = []
    for place, name in enumerate(heading, 1):
        plain = "".join(character for character in name.lower() if character not in " _-.")
        column = COLUMNS.get(plain)
        if column is None and plain and plain not in _OURS and not unknown_columns:
            remedy = f"Use {', '.join(sorted(COLUMNS))}, or remove the column."
            raise _refused(f"Column {place} has a heading that is not known.", remedy)
        if column is not None and column in columns:
            raise _refused(f"Column {place} says the same as another one.", "Remove one of the two.")
        columns.append(column)
    if "email" not in columns or len(columns) > _MAX_COLUMNS:
        raise _refused("The first row does not name a column email.", "Begin the file with the names of the columns.")
    return columns


def _account(cells: Mapping[str | None, str]) -> dict[str, Any]:
    """The cells as fields; empty ones are left out."""
    given = {name: text if name in _VERBATIM else text.strip() for name, text in cells.items() if name and text.strip()}
    if given.get("email", "").startswith("'") and given["email"][1:].startswith(FORMULA):
        given["email"] = given["email"][1:]
    account: dict[str, Any] = {
        name: given[name] for name in ("email", "password", "first_name", "last_name") if name in given
    }
    if "display_name" in given:
        first, _, last = given["display_name"].partition(" ")
        account = {"first_name": first, "last_name": last.strip(), **account}
    account["provider"] = given.get("provider", "custom").lower()
    for protocol, port in _PORTS.items():
        server = {
            name: given[f"{protocol}.{name}"]
            for name in ("host", "port", "security", "username", "password")
            if f"{protocol}.{name}" in given
        }
        if "host" in server:
            server.setdefault("port", port)
            if (security := _security(server, given.get(f"{protocol}.secure"))) is not None:
                server["security"] = security
        if server:
            account[protocol] = server
    return account


def _security(server: Mapping[str, str], secure: str | None) -> str | None:
    """What the file says, where the port does not: clients send the opposite with 587."""
    if "security" in server:
        given = server["security"].lower()
        return "tls" if given in {"ssl", "ssl/tls"} else given
    port = server["port"]
    if secure is None or not port.isdecimal() or default_security(int(port[:6])) != "auto":
        return None
    return "tls" if secure.lower() in _TRUE else "auto"


def _refused(detail: str, remedy: str) -> InvalidFields:
    return InvalidFields([FieldFault("file", detail, remedy)])
