"""Records as lines of a zone file."""

import dns.rdata
from dns.rdtypes.ANY.TXT import TXT
from hypothesis import given
from hypothesis import strategies as st

from berth_dns_auditor.advice import advice, zone_line
from berth_dns_auditor.findings import change, finding
from berth_dns_auditor.resolver import printable


@given(st.text(st.characters(max_codepoint=255, exclude_characters="\\"), max_size=600))
def test_a_text_comes_back_from_its_line(text: str) -> None:
    name, _, data = zone_line("example.com", "TXT", printable(text)).partition(" IN TXT ")

    read = dns.rdata.from_text("IN", "TXT", data)

    assert name == "example.com."
    assert isinstance(read, TXT)
    assert b"".join(read.strings).decode("latin-1") == text


def test_names_end_in_a_dot() -> None:
    assert zone_line("example.com", "MX", "10 mx.example.com") == "example.com. IN MX 10 mx.example.com."
    assert zone_line("example.com", "MX", "0 .") == "example.com. IN MX 0 ."
    assert zone_line("mx.example.com", "A", "192.0.2.1") == "mx.example.com. IN A 192.0.2.1"


def test_advice_has_a_paragraph_for_each_finding() -> None:
    gone = change("example.com", "MX", None, "10 mx.gone.example")

    text = advice([finding("MX_NXDOMAIN", "mx.gone.example", publish=[gone]), finding("MX_MISSING", "example.org")])

    assert (
        text.split("\n\n")[0]
        == """\
high: MX_NXDOMAIN mx.gone.example
  A mail exchange does not exist. (RFC 5321 §5.1)
  Remove the MX record or correct the host name in it.
  - example.com. IN MX 10 mx.gone.example."""
    )
    assert text.split("\n\n")[1].startswith("high: MX_MISSING example.org")
    assert advice([]) == ""
