"""The CSV reader: what spreadsheets and people write is read, what cannot be read is said by row and column."""

import contextlib
import csv
import io
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_gateway.errors import InvalidFields
from berth_gateway.imports.csv_reader import COLUMNS, FORMULA, CsvRow, read_csv
from berth_gateway.imports.presentation import CSV_HEADING, csv_lines
from berth_gateway.imports.repository import RowView

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)


def read(text: str, **options: Any) -> list[CsvRow]:
    return read_csv(text.encode(), max_rows=100, **options)


@given(
    rows=st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=20),
    delimiter=st.sampled_from(",;\t"),
    line_end=st.sampled_from(["\r\n", "\n", "\r"]),
    bom=st.booleans(),
)
def test_what_a_spreadsheet_writes_is_read_back(
    rows: list[tuple[str, str, str]], delimiter: str, line_end: str, bom: bool
) -> None:
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerow(["Email", "Password", "IMAP Host"])
    writer.writerows(rows)
    found = {row.number: row for row in read(("\ufeff" if bom else "") + written.getvalue())}
    for number, (email, password, host) in enumerate(rows, 2):
        if not any(cell.strip() for cell in (email, password, host)):
            assert number not in found
            continue
        account = found.pop(number).account
        shown = email.strip()
        # what looks like a formula is quoted in a rejected.csv
        quoted = shown.startswith("'") and shown[1:].startswith(FORMULA)
        assert account.get("email", "") == (shown[1:] if quoted else shown)
        assert account.get("password", "") == (password if password.strip() else "")
        assert account.get("imap", {}).get("host", "") == host.strip()
    assert found == {}


@given(st.binary(max_size=300) | st.text(string.printable + "é\0", max_size=300).map(str.encode))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    rows: list[CsvRow] = []
    with contextlib.suppress(InvalidFields):
        rows = read_csv(b"email,password\n" + content, max_rows=10)
    assert [row.number for row in rows] == sorted({row.number for row in rows})
    assert all(row.number > 1 for row in rows)


def test_the_columns_of_sendkit() -> None:
    [row] = read(
        "email,password,smtphost,smtpport,smtpsecure,imaphost,imapport,imapsecure,displayname\n"
        "ada@acme.test, with blanks ,smtp.acme.com,465,true,imap.acme.com,993,true,Ada King Lovelace\n"
    )
    assert row == CsvRow(
        2,
        {
            "email": "ada@acme.test",
            "password": " with blanks ",
            "first_name": "Ada",
            "last_name": "King Lovelace",
            "provider": "custom",
            "imap": {"host": "imap.acme.com", "port": "993"},
            "smtp": {"host": "smtp.acme.com", "port": "465"},
        },
    )


@pytest.mark.parametrize(
    ("port", "secure", "security"),
    [
        ("587", "true", None),
        ("587", "false", None),
        ("2465", "true", "tls"),
        ("2465", "false", "auto"),
        ("2465", "", None),
    ],
)
def test_the_port_decides_how_tls_begins_and_secure_where_it_does_not(
    port: str, secure: str, security: str | None
) -> None:
    [row] = read(f"email,smtphost,smtpport,smtpsecure\nada@acme.test,smtp.acme.com,{port},{secure}\n")
    assert row.account["smtp"].get("security") == security


@pytest.mark.parametrize(
    ("written", "security"), [("SSL", "tls"), ("SSL/TLS", "tls"), ("STARTTLS", "starttls"), ("x", "x")]
)
def test_tls_has_an_older_name(written: str, security: str) -> None:
    [row] = read(f"email,imaphost,imapsecurity\nada@acme.test,imap.acme.com,{written}\n")
    assert row.account["imap"]["security"] == security


def test_ports_have_defaults_and_names_of_their_own_win() -> None:
    [row] = read(
        "e-mail,First_Name,Display Name,imap_host,imap.security,SMTP Server,smtp user,smtp-password\n"
        "ada@acme.test,Augusta,Ada Lovelace,imap.acme.com,STARTTLS,smtp.acme.com,relay,x\n"
    )
    assert row.account["imap"] == {"host": "imap.acme.com", "port": "993", "security": "starttls"}
    assert row.account["smtp"] == {"host": "smtp.acme.com", "port": "587", "username": "relay", "password": "x"}
    assert (row.account["first_name"], row.account["last_name"]) == ("Augusta", "Lovelace")


def test_a_row_whose_cells_have_slipped_is_not_used() -> None:
    first, second = read("email,password\nada@acme.test,se,cret\nbob@acme.test,x,,\n")
    assert first.account == {}
    assert first.fault is not None
    assert "cret" not in f"{first.fault.detail}{first.fault.remedy}"
    assert second.account["email"] == "bob@acme.test"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "column email"),
        ("password\nx\n", "column email"),
        ("email,pasword\nada@acme.test,x\n", "Column 2"),
        ("email,Email Address\na,b\n", "Column 2"),
        ('email,password\nada@acme.test,"se"cret\n', "Row 2"),
        ('email,password\nada@acme.test,x\nbob@acme.test,"no end\n', "Row 3"),
        ("email\n" + "a@b.test\n" * 101, "100 rows"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_whole(text: str, said: str) -> None:
    with pytest.raises(InvalidFields) as refused:
        read(text)
    [fault] = refused.value.faults
    assert said in fault.detail
    assert "cret" not in fault.detail
    assert fault.remedy


def test_columns_of_others_are_left_out_when_that_is_wanted() -> None:
    [row] = read("email,warmup\nada@acme.test,yes\n", unknown_columns=True)
    assert row.account == {"email": "ada@acme.test", "provider": "custom"}


def test_latin_1_is_refused_by_its_place() -> None:
    with pytest.raises(InvalidFields) as refused:
        read_csv("email,displayname\nada@acme.test,Adé\n".encode("latin-1"), max_rows=10)
    assert "UTF-8" in refused.value.faults[0].detail


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_excels_unicode_text_is_read(encoding: str) -> None:
    [row] = read_csv("\ufeffemail\tdisplayname\r\nada@acme.test\tAdé\r\n".encode(encoding), max_rows=10)
    assert (row.account["email"], row.account["first_name"]) == ("ada@acme.test", "Adé")


def test_a_file_may_begin_with_its_separator_or_blank_rows() -> None:
    [row] = read("sep=;\r\nemail;password\r\nada@acme.test;a,b\r\n")
    assert (row.number, row.account["password"]) == (2, "a,b")
    [row] = read("\n;;\nemail;password\nada@acme.test;a,b\n")
    assert (row.number, row.account["password"]) == (4, "a,b")


def test_a_cell_that_is_much_too_long_is_the_fault_of_its_row_alone() -> None:
    first, second = read(f"email,password\nada@acme.test,{'x' * 500_000}\nbob@acme.test,x\n")
    assert (len(first.account["password"]), second.account["email"]) == (500_000, "bob@acme.test")


def test_the_file_of_rejected_rows_is_read_when_it_was_mended() -> None:
    """With an apostrophe before what would be a formula, and a password added."""
    rejected = RowView(
        row=7,
        email="+ada@acme.test",
        state="rejected",
        account_id=None,
        existing_account_id=None,
        code="invalid_fields",
        detail="password: There is no password for IMAP.",
        remedy="Send `password`, or `imap.password`.",
        diagnosis=None,
        settled_at=None,
    )
    [heading, line] = (",".join(CSV_HEADING) + "\r\n" + csv_lines([rejected])).splitlines()
    assert line.startswith("7,'+ada@acme.test,")
    [row] = read(f"{heading},password\r\n{line},'=secret\r\n")
    assert row == CsvRow(2, {"email": "+ada@acme.test", "password": "'=secret", "provider": "custom"})


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"])
def test_no_cell_of_rejected_rows_is_a_formula(begins: str) -> None:
    row = RowView(
        row=1,
        email=f"{begins}cmd|'/c calc'!A1@x",
        state="rejected",
        account_id=None,
        existing_account_id=None,
        code="invalid_fields",
        detail="",
        remedy="",
        diagnosis=None,
        settled_at=None,
    )
    [[_, email, *_]] = csv.reader(io.StringIO(csv_lines([row]), newline=""))
    assert email == f"'{row.email}"


def test_every_column_goes_somewhere() -> None:
    assert {
        "email",
        "password",
        "smtphost",
        "smtpport",
        "smtpsecure",
        "imaphost",
        "imapport",
        "imapsecure",
        "displayname",
    } <= set(COLUMNS)
