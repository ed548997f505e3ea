"""Thunderbird's database of mail services: what is read of its source, how the data file is made, and what came with Berth."""

import io
import json
import re
import tarfile
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publicsuffixlist import PublicSuffixList

from berth_gateway.autoconfig.ispdb.__main__ import Refused, update
from berth_gateway.autoconfig.ispdb.source import (
    AUTHENTICATIONS,
    USERNAMES,
    EntryServer,
    InvalidEntry,
    read_entry,
)
from berth_gateway.autoconfig.ispdb.table import ispdb_services, services_of
from berth_gateway.autoconfig.known import KnownServices
from berth_gateway.autoconfig.services import own_services
from berth_net import HostGuard
from berth_testing.gateway_harness import NamedHosts

COMMIT = "c0ffee" * 6 + "c0ff"
LICENCE = b"Mozilla Public License Version 2.0\n=====\n"


def server(kind: str = "imap", **changes: str) -> str:
    fields = {
        "hostname": f"{kind}.example.com",
        "port": {"imap": "993", "smtp": "465"}.get(kind, "995"),
        "socketType": "SSL",
        "username": "%EMAILADDRESS%",
        "authentication": "password-cleartext",
        **changes,
    }
    tag = "outgoingServer" if kind == "smtp" else "incomingServer"
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items())
    return f'<{tag} type="{kind}">{inner}</{tag}>'


def document(*parts: str, identity: str = "example.com", domains: str = "<domain>example.com</domain>") -> bytes:
    inner = "".join(parts)
    text = f'<clientConfig version="1.1"><emailProvider id="{identity}">{domains}{inner}</emailProvider></clientConfig>'
    return text.encode()


def test_an_entry() -> None:
    entry = read_entry(
        document(
            server(port="143", socketType="STARTTLS"),
            server("pop3"),
            server(),
            server(hostname=" IMAP2.Example.com "),
            server("smtp", port="587", socketType="STARTTLS", username="%EMAILLOCALPART%"),
            server("smtp", port="25", socketType="plain"),
            "<displayName>Example &amp; Sons</displayName>",
            '<documentation url="https://help.example.com/"/>',
            '<enable visiturl="https://example.com/enable"/>',
            domains="<domain>example.com</domain><domain> BÜCHER.example </domain><domain>example.com</domain>",
        )
    )
    assert (entry.id, entry.name, entry.domains) == (
        "example.com",
        "Example & Sons",
        ("example.com", "xn--bcher-kva.example"),
    )
    assert [(each.host, each.port, each.socket_type) for each in entry.imap] == [
        ("imap.example.com", 993, "SSL"),
        ("imap2.example.com", 993, "SSL"),
        ("imap.example.com", 143, "STARTTLS"),
    ]
    assert entry.smtp == (
        EntryServer(
            host="smtp.example.com",
            port=587,
            socket_type="STARTTLS",
            username="%EMAILLOCALPART%",
            authentication=("password-cleartext",),
        ),
    )
    assert entry.left_out == ("pop3 is not kept", "smtp without TLS")
    assert entry.help_url == "https://example.com/enable"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"socketType": "plain"}, "imap without TLS"),
        ({"socketType": ""}, "imap without TLS"),
        ({"username": "%EMAILADDRESS"}, "imap with a user name that is not made from the address"),
        ({"username": "%REALNAME%"}, "imap with a user name that is not made from the address"),
        ({"username": "root"}, "imap with a user name that is not made from the address"),
        ({"authentication": "none"}, "imap without password and token"),
        ({"authentication": "GSSAPI"}, "imap without password and token"),
        ({"port": "587"}, "imap is not at port 587"),
        ({"port": "0"}, "imap is not at port 0"),
        ({"port": "65536"}, "imap is not at port 65536"),
        ({"port": "-993"}, "imap is not at port -993"),
        ({"port": "\u0669\u0669\u0663"}, "imap is not at port \u0669\u0669\u0663"),
        ({"port": "9" * 5000}, f"imap is not at port {'9' * 5000}"),
        ({"port": ""}, "imap is not at port (none)"),
        ({"hostname": "127.0.0.1"}, "imap at no host name"),
        ({"hostname": "%EMAILLOCALPART%.example.com"}, "imap at no host name"),
        ({"hostname": "mail.%EMAILDOMAIN%:993"}, "imap at no host name"),
        ({"hostname": ""}, "imap at no host name"),
    ],
)
def test_servers_that_are_not_kept(changes: dict[str, str], reason: str) -> None:
    entry = read_entry(document(server(**changes)))
    assert (entry.imap, entry.left_out) == ((), (reason,))


def test_a_host_may_have_the_domain_in_it() -> None:
    [kept] = read_entry(document(server(hostname="mail.%EMAILDOMAIN%"))).imap
    assert kept.host == "mail.%EMAILDOMAIN%"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"<clientConfig>",
        b"<clientConfig/>",
        b"<other/>",
        b'<?xml version="1.0" encoding="no-such"?><clientConfig/>',
        document(domains=""),
        document(domains="<domain/>"),
        document(domains="<domain>127.0.0.1</domain>"),
        document(domains="<domain>a b.com</domain>"),
        document(identity=" "),
        document().replace(b"</clientConfig>", b'<emailProvider id="b"/></clientConfig>'),
        b'<!DOCTYPE clientConfig [<!ENTITY a "b">]>' + document("<displayName>&a;</displayName>"),
        b'<!DOCTYPE clientConfig SYSTEM "file:///etc/passwd">' + document(),
        b'<!DOCTYPE clientConfig [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
        + document("<displayName>&a;</displayName>"),
        document("<displayName>&a;</displayName>"),
    ],
)
def test_what_is_no_entry(text: bytes) -> None:
    with pytest.raises(InvalidEntry):
        read_entry(text)


def test_entities_never_grow() -> None:
    levels = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE x [<!ENTITY a0 "{"b" * 1000}">{levels}]>'.encode() + document("<displayName>&a11;</displayName>")
    with pytest.raises(InvalidEntry, match="document type"):
        read_entry(bomb)


words = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="<>&\ufffe\uffff"), max_size=12)


@given(
    st.lists(
        st.builds(
            server,
            st.sampled_from(["imap", "smtp", "pop3", "exchange"]),
            hostname=st.sampled_from(["imap.example.com", "%EMAILDOMAIN%", "localhost:1"]) | words,
            port=st.sampled_from(["993", "143", "465", "25"]) | words,
            socketType=st.sampled_from(["SSL", "STARTTLS", "plain"]) | words,
            username=st.sampled_from(USERNAMES) | words,
            authentication=st.sampled_from(AUTHENTICATIONS) | words,
        ),
        max_size=6,
    )
)
def test_whatever_a_file_says_servers_have_tls_and_can_be_signed_in_to(servers: list[str]) -> None:
    entry = read_entry(document(*servers))
    assert len(entry.imap) + len(entry.smtp) + len(entry.left_out) <= len(servers)
    for kept in (entry.imap, entry.smtp):
        assert [each.socket_type for each in kept] == sorted(each.socket_type for each in kept), "implicit TLS first"
        for each in kept:
            assert each.socket_type in {"SSL", "STARTTLS"}
            assert each.username in USERNAMES
            assert each.authentication
            assert re.fullmatch(r"[a-z0-9.-]+", each.host.replace("%EMAILDOMAIN%", "x"))
    provider = {
        "id": entry.id,
        "name": entry.name,
        "domains": entry.domains,
        "help_url": entry.help_url,
        "imap": [vars_of(each) for each in entry.imap],
        "smtp": [vars_of(each) for each in entry.smtp],
    }
    [service] = services_of(json.dumps({"providers": [provider]}))
    assert (len(service.imap), len(service.smtp)) == (len(entry.imap), len(entry.smtp))


def vars_of(kept: EntryServer) -> dict[str, object]:
    return {name: getattr(kept, name) for name in EntryServer.__slots__}


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_an_entry_or_refused(text: bytes) -> None:
    with pytest.raises(InvalidEntry):
        read_entry(text)


# -- the tool


def archive(contents: dict[str, bytes], *, commit: str = COMMIT) -> io.BytesIO:
    """As `git archive` makes it."""
    file = io.BytesIO()
    headers = {"comment": commit} if commit else {}
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT, pax_headers=headers) as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), 1_773_313_403
            tar.addfile(member, io.BytesIO(content))
    file.seek(0)
    return file


def test_the_data_file_is_made_with_its_licence(tmp_path: Path) -> None:
    contents = {
        "ispdb/b.xml": document(server(), server("smtp", socketType="plain"), identity="b"),
        "ispdb/a.xml": document(server("smtp"), identity="a", domains="<domain>a.example</domain>"),
        "ispdb/pop.xml": document(server("pop3"), identity="pop", domains="<domain>p.example</domain>"),
        "LICENSE": LICENCE,
        "ispdb/README": b"no entry",
    }
    report = update(archive(contents), tmp_path)
    assert report[0] == "2 of 3 services, 2 domains"
    assert "left out: 1 x smtp without TLS" in report
    made = json.loads((tmp_path / "providers.json").read_text())
    assert (made["commit"], made["date"], made["licence"]) == (COMMIT, "2026-03-12", "MPL-2.0")
    assert [provider["id"] for provider in made["providers"]] == ["a", "b"]
    assert (tmp_path / "LICENSE").read_bytes() == LICENCE
    assert f"commit {COMMIT}" in (tmp_path / "NOTICE").read_text()


@pytest.mark.parametrize(
    ("contents", "commit"),
    [
        ({"ispdb/a.xml": document(server()), "LICENSE": LICENCE}, ""),
        ({"ispdb/a.xml": document(server()), "LICENSE": b"another"}, COMMIT),
        ({"ispdb/a.xml": document(server())}, COMMIT),
        ({"LICENSE": LICENCE}, COMMIT),
        ({"ispdb/a.xml": b"<!DOCTYPE a>" + document(server()), "LICENSE": LICENCE}, COMMIT),
        ({"ispdb/a.xml": document(" " * 300_000), "LICENSE": LICENCE}, COMMIT),
    ],
)
def test_what_is_no_archive_of_it_changes_nothing(contents: dict[str, bytes], commit: str, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        update(archive(contents, commit=commit), tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(tarfile.TarError):
        update(io.BytesIO(b"no archive"), tmp_path)


# -- what comes with Berth

DIRECTORY = files("berth_gateway.autoconfig.ispdb")


def test_what_comes_with_berth_says_where_it_is_from_and_whose_terms_it_has() -> None:
    made = json.loads(DIRECTORY.joinpath("providers.json").read_text())
    assert made["source"] == "https://github.com/thunderbird/autoconfig"
    assert made["licence"] == "MPL-2.0"
    notice = DIRECTORY.joinpath("NOTICE").read_text()
    assert made["source"] in notice
    assert made["commit"] in notice
    assert made["date"] in notice
    licence = DIRECTORY.joinpath("LICENSE").read_text()
    assert "Mozilla Public License Version 2.0" in licence
    assert "Exhibit B" in licence
    package = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert package["license"] == "Apache-2.0 AND MPL-2.0"
    folder = "src/berth_gateway/autoconfig/ispdb"
    assert {f"{folder}/LICENSE", f"{folder}/NOTICE"} <= set(package["license-files"])


def test_nothing_that_comes_with_berth_leads_astray() -> None:
    suffixes, guard = PublicSuffixList(only_icann=True), HostGuard(NamedHosts())
    services = ispdb_services()
    assert len(services) > 100
    for service in services:
        assert not [domain for domain in service.domains if suffixes.is_public(domain) or "." not in domain]
        for each in (*service.imap, *service.smtp):
            host = each.host.replace("{domain}", "example.com")
            assert guard.check_name(host) == host, "canonical, and no name of private networks"
            assert not suffixes.is_public(host)


def test_the_tables_together() -> None:
    known = KnownServices.load()
    own = KnownServices(own_services())
    for service in own_services():
        for domain in service.domains:
            assert known.of_domain(domain) == own.of_domain(domain), "the own table stands first"
    cox, hotmail = known.of_domain("cox.net"), known.of_domain("hotmail.be")
    assert cox is not None
    assert (cox.table, cox.code, cox.sign_in) == ("ispdb", "yahoo", ("app_password",)), "at Yahoo's hosts"
    assert hotmail is not None
    assert (hotmail.table, hotmail.provider, hotmail.sign_in) == ("ispdb", "outlook", ("oauth",))
    free = known.of_domain("free.fr")
    assert free is not None
    assert (free.code, [each.username for each in free.imap]) == ("free.fr", ["local_part"])
