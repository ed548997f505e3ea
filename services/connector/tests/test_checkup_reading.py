"""What headers and lists of folders tell, as servers write them, and as nobody should."""

import base64
import re
from datetime import UTC, datetime
from ipaddress import ip_address
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_connector.checkup.fields import Signature, authserv_id, fields_of, hop_of, named_client, signature_of
from berth_connector.checkup.mailbox import _folders_of, _quoted, _readable
from berth_connector.checkup.message import compose
from berth_connector.checkup.reading import Trace, provider_of, read
from berth_connector.origins import _HOSTS
from berth_events.contracts import Checkup

GOOGLE = """\
Delivered-To: me@acme.example
Received: by 2002:a05:6102:1234:b0:4c1:ab12:cd34 with SMTP id x; Sat, 21 Nov 2026 01:30:03 -0800 (PST)
Received: from mail-sor-f41.google.com (mail-sor-f41.google.com. [209.85.220.41])
        by mx.google.com with SMTPS id a1 for <me@acme.example>
        (Google Transport Security); Sat, 21 Nov 2026 01:30:02 -0800 (PST)
Received-SPF: pass (google.com: domain of me@acme.example designates 209.85.220.41 as permitted sender) client-ip=209.85.220.41;
Authentication-Results: mx.google.com;
       dkim=pass header.i=@acme.example header.s=google header.b=abc;
       spf=pass (google.com: domain of me@acme.example designates 209.85.220.41 as permitted sender)
Authentication-Results: evil.example; dkim=pass header.d=evil.example
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=1e100.net; s=20230601; h=from; bh=x; b=y
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
        d=Acme.example; s=google ; t=1; h=to:from; bh=x=; b=y
        z==
Received: from [192.0.2.1] ([52.1.2.3]) by smtp.gmail.com with ESMTPSA id b2; Sat, 21 Nov 2026 01:30:01 -0800 (PST)
"""
MICROSOFT = """\
Received: from DB8PR08MB1.eurprd08.prod.outlook.com (2603:10a6:10:1::1) by
 AM0PR08MB2.eurprd08.prod.outlook.com with HTTPS; Sat, 21 Nov 2026 09:30:04 +0000
Received: from DU2P2.eurprd08.prod.outlook.com (2603:10a6:10:2::2) by
 DB8PR08MB1.eurprd08.prod.outlook.com (2603:10a6:10:1::1) with Microsoft SMTP
 Server (version=TLS1_2, cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id 15.20.1; Sat, 21 Nov 2026 09:30:03 +0000
Authentication-Results: spf=pass (sender IP is 40.107.20.71)
 smtp.mailfrom=acme.example; dkim=pass (signature was verified)
 header.d=acme.example;dmarc=pass action=none header.from=acme.example;
Received: from EUR05-DB8-obe.outbound.protection.outlook.com (40.107.20.71) by
 DB5EUR03.mail.protection.outlook.com (10.152.20.1) with Microsoft SMTP Server; Sat, 21 Nov 2026 09:30:02 +0000
DKIM-Signature: v=1; a=rsa-sha256; d=acme.example; s=selector1; b=x
"""
ITSELF = """\
Received: from [203.0.113.5] (client.example [52.1.2.3]) by mail.acme.example (Postfix) with ESMTPSA id 3B5 for <me@acme.example>
"""


def told(header: str, imap_host: str = "imap.gmail.com") -> Trace:
    return read(header.replace("\n", "\r\n").encode(), domain="acme.example", imap_host=imap_host)


def test_google() -> None:
    found = told(GOOGLE)
    assert found.sending_ip == ip_address("209.85.220.41")
    assert found.signature == Signature("acme.example", "google")
    assert provider_of(found.hosts) == "google"
    assert found.results
    assert found.results.startswith("mx.google.com; dkim=pass header.i=@acme.example")
    assert "evil" not in found.results


def test_microsoft_hands_on_inside_and_does_not_say_who_judges() -> None:
    found = told(MICROSOFT, "outlook.office365.com")
    assert found.sending_ip == ip_address("40.107.20.71")
    assert found.signature == Signature("acme.example", "selector1")
    assert provider_of(found.hosts) == "microsoft"
    assert found.results
    assert found.results.startswith("spf=pass (sender IP is 40.107.20.71)")
    assert told(MICROSOFT.replace("Authentication-Results: spf", "X: ")).sending_ip == ip_address("40.107.20.71")


def test_a_message_that_never_left_its_server_was_handed_over_by_nobody() -> None:
    """The address of the client that submitted it is ours."""
    found = told(ITSELF)
    assert (found.sending_ip, found.signature, found.results) == (None, None, None)
    assert found.hosts == ("mail.acme.example",)


def test_results_of_strangers_are_nobodys() -> None:
    stranger = ITSELF + "Authentication-Results: mx.google.com; dkim=pass\nAuthentication-Results: dkim=pass\n"
    assert told(stranger, "imap.other.example").results is None
    own = ITSELF + 'Authentication-Results: "mail.acme.example" 1; dkim=pass\n'
    assert told(own, "imap.other.example").results == '"mail.acme.example" 1; dkim=pass'


@pytest.mark.parametrize(
    ("received", "helo", "address", "by", "submitted"),
    [
        ("from a.example (b.example [192.0.2.1]) by c.example with ESMTP", "a.example", "192.0.2.1", "c.example", False),
        ("from a.example ([IPv6:2001:db8::1]) by c.example with ESMTPS", "a.example", "2001:db8::1", "c.example", False),
        ("from [192.0.2.1] (port=53 helo=x) by c.example with esmtpsa (Exim 4.96)", "192.0.2.1", "192.0.2.1", "c.example",
         True),
        ("from a.example ([192.0.2.1]:5678 helo=x) by c with utf8smtpsa", "a.example", "192.0.2.1", "c", True),
        ("from unknown (HELO a.example) (192.0.2.1) by c.example with SMTP", "unknown", "192.0.2.1", "c.example", False),
        ("from a.example (192.0.2.1) (using TLSv1.3 with cipher X (256/256 bits)) by c.example via x", "a.example",
         "192.0.2.1", "c.example", False),
        ("(comment (by nobody [192.0.2.9])) from a.example by c.example", "a.example", None, "c.example", False),
        ("by c.example (Postfix, from userid 0) id 1", "", None, "c.example", False),
        ("from a.example (999.1.2.3 [1.2]) by c.example; from x by y", "a.example", None, "c.example", False),
        ("from from by by", "from", None, "by", False),
        ("", "", None, "", False),
        ("((((((", "", None, "", False),
        (")))))) from a by b", "a", None, "b", False),
    ],
)  # fmt: skip
def test_received(received: str, helo: str, address: str | None, by: str, *, submitted: bool) -> None:
    hop = hop_of(received)
    assert (hop.helo, hop.by, hop.submitted) == (helo, by, submitted)
    assert hop.address == (ip_address(address) if address else None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("v=1; d=A.example.; s=Sel; b=x", Signature("a.example", "sel")),
        ("v=1; d=A.example; s=Se L; b=x", Signature("a.example", "sel")),
        ("d=a.example", None),
        ("s=x", None),
        ("d=a b; s=x", Signature("ab", "x")),
        ('d=a.example; s=x y"; DROP', None),
        ("d=a.example; s=" + "x" * 64, None),
        ("d=a.example; s=a..b", None),
        ("d=a.example; s=one; d=b.example; s=two", Signature("a.example", "one")),
    ],
)  # fmt: skip
def test_signatures(value: str, expected: Signature | None) -> None:
    assert signature_of(value) == expected


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ("mx.Acme.example; dkim=pass", "mx.acme.example"),
        ("(who) mx.acme.example (really) 1; none", "mx.acme.example"),
        ("spf=pass (sender IP is 1.2.3.4)", ""),
        ("", ""),
        (";;;", ""),
    ],
)
def test_who_judges(results: str, expected: str) -> None:
    assert authserv_id(results) == expected


def test_a_client_that_is_named() -> None:
    assert named_client(["", "pass client-ip=nonsense; x", "pass client-ip=2001:db8::1;"]) == ip_address("2001:db8::1")
    assert named_client(["policy.iprev=192.0.2.1 (x)"]) == ip_address("192.0.2.1")
    assert named_client([]) is None


def test_a_known_service_is_known_as_a_sender_too() -> None:
    for service, domains in _HOSTS.items():
        for domain in domains:
            assert provider_of([f"out.{domain}"]) == service
    assert provider_of(["notgoogle.com", "localhost", ""]) is None
    assert provider_of(["nobody.example", "a1.AmazonSES.com."]) == "amazon_ses"


def test_an_endless_header_is_bounded() -> None:
    header = b"Received: from a.example (a.example [100.0.0.7]) by b.example with ESMTP; x\r\n" * 100_000
    assert len(fields_of(header)) == 200
    long = fields_of(b"Authentication-Results: mx.acme.example; " + b"x" * 1_000_000 + b"\r\n")
    assert len(long[0][1]) <= 4000


def test_broken_encodings_are_readable() -> None:
    header = b"Authentication-Results: mx.acme.example;\xff\xfe dkim=pass\0\x1b[31m\r\n\tfolded\r\n"
    results = told("", "imap.acme.example")
    assert results.results is None
    found = read(header, domain="acme.example", imap_host="imap.acme.example").results
    assert found
    assert found.isprintable()
    assert found.endswith("folded")


@given(header=st.binary(max_size=2000))
def test_any_header_is_read(header: bytes) -> None:
    read(header, domain="acme.example", imap_host="imap.acme.example")


WORDS = st.sampled_from(
    ["from", "by", "with", ";", "(", ")", "[", "]", "192.0.2.1", "[100.0.0.7]", "a.example", "\t", '"', "IPv6:::1",
     "ESMTPSA", "=", "d=a.example", "s=x", "s=\u2028", "client-ip=", "1:2", "\u00e4", "\ud800", "xn--", ".", "co.uk"]
)  # fmt: skip


@given(
    fields=st.lists(
        st.tuples(
            st.sampled_from(["Received", "Authentication-Results", "Received-SPF", "DKIM-Signature"]),
            st.lists(WORDS, max_size=25).map(" ".join),
        ),
        max_size=12,
    )
)
def test_any_mixture_makes_a_result_that_can_be_said(fields: list[tuple[str, str]]) -> None:
    header = "".join(f"{name}: {value}\r\n" for name, value in fields).encode("utf-8", "surrogatepass")
    found = read(header, domain="acme.example", imap_host="imap.acme.example")
    provider_of(found.hosts)
    said = Checkup(
        started_at="2026-11-21T09:30:00Z",
        outcome="delivered",
        sending_ip=str(found.sending_ip),
        dkim_selector=found.signature and found.signature.selector,
        authentication_results=found.results,
    )
    assert Checkup.model_validate_json(said.model_dump_json()) == said


def test_the_message() -> None:
    checkup_id = UUID("01890000-0000-7000-8000-0000000000c1")
    message = compose(checkup_id, "me@acme.example", "acme.example", datetime(2026, 11, 21, 9, 30, tzinfo=UTC))
    head, _, body = message.partition(b"\r\n\r\n")
    assert f"Message-ID: <berth-checkup-{checkup_id}@acme.example>".encode() in head.split(b"\r\n")
    assert b"Auto-Submitted: auto-generated" in head
    assert message.count(b"\n") == message.count(b"\r\n")
    assert b"checkup" in body


@given(
    lines=st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.binary(max_size=20).map(bytearray),
            st.binary(max_size=30).map(lambda name: b'(\\\\Junk) "/" ' + name),
        ),
        max_size=6,
    )
)
def test_any_list_of_folders_is_read(lines: list[bytes]) -> None:
    for flags, name in _folders_of(lines):
        assert flags.isascii() or "\ufffd" in flags
        assert _readable(name).isprintable()
        assert "\n" not in _quoted(name)


@given(name=st.text(max_size=20).filter(str.isprintable))
def test_a_folders_name_comes_back_from_its_form_on_the_wire(name: str) -> None:
    parts = re.split(r"([^\x20-\x7e]+)", name.replace("&", "&-"))
    shifted = [
        base64.b64encode(part.encode("utf-16-be")).decode().rstrip("=").replace("/", ",") for part in parts[1::2]
    ]
    parts[1::2] = [f"&{part}-" for part in shifted]
    assert _readable("".join(parts)) == " ".join(name.split())
