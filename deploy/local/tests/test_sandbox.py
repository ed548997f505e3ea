"""The sandbox, as ordinary clients see it."""

import asyncio
import imaplib
import smtplib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from email.message import EmailMessage
from pathlib import Path
from typing import TypeVar

import dns.asyncresolver
import dns.flags
import dns.message
import dns.query
import dns.resolver
import pytest
from dnslib import DNSLabel, DNSRecord

from berth_local.sandbox.description import Host, Mailbox, Sandbox
from berth_local.sandbox.dns import Upstream, Zone, serve_dns
from berth_local.sandbox.server import sandbox
from berth_local.sandbox.zone import zone_file

T = TypeVar("T")


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    async with sandbox(tmp_path_factory.mktemp("sandbox")) as description:
        yield description


@pytest.fixture
def trust(running: Sandbox) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=running.authority_file)


@pytest.fixture
def by_name(running: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host names resolve, as the services' resolver does it; certificates are checked against them."""
    real, addresses = socket.getaddrinfo, {host.name: host.address for host in running.hosts}
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest: real(addresses.get(host, host), *rest))


async def in_thread(call: Callable[[], T]) -> T:
    return await asyncio.to_thread(call)


def imap_login(host: Host, mailbox: Mailbox, trust: ssl.SSLContext, password: str, *, starttls: bool) -> list[bytes]:
    client: imaplib.IMAP4
    if starttls:
        client = imaplib.IMAP4(host.name, host.imap, timeout=10)
        client.starttls(trust)
    else:
        client = imaplib.IMAP4_SSL(host.name, host.imaps, ssl_context=trust, timeout=10)
    with client:
        client.login(mailbox.address, password)
        return [bytes(part) for part in client.select("INBOX")[1] if isinstance(part, bytes)]


def submit(host: Host, mailbox: Mailbox, trust: ssl.SSLContext, password: str, to: str, *, starttls: bool) -> None:
    client: smtplib.SMTP
    if starttls:
        client = smtplib.SMTP(host.name, host.submission, timeout=10)
        client.starttls(context=trust)
    else:
        client = smtplib.SMTP_SSL(host.name, host.submissions, context=trust, timeout=10)
    with client:
        client.login(mailbox.address, password)
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = mailbox.address, to, "ahoy"
        message.set_content("Made fast.")
        client.send_message(message)


@pytest.mark.usefixtures("by_name")
@pytest.mark.parametrize("starttls", [True, False])
class TestMail:
    async def test_login(self, running: Sandbox, trust: ssl.SSLContext, *, starttls: bool) -> None:
        mailbox, host = running.mailbox("edsger@nodmarc.test")
        assert await in_thread(lambda: imap_login(host, mailbox, trust, mailbox.password, starttls=starttls)) == [b"0"]

    async def test_wrong_password(self, running: Sandbox, trust: ssl.SSLContext, *, starttls: bool) -> None:
        mailbox, host = running.mailbox("grace@acme.test")
        with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            await in_thread(lambda: imap_login(host, mailbox, trust, "not this", starttls=starttls))
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            await in_thread(lambda: submit(host, mailbox, trust, "not this", mailbox.address, starttls=starttls))
        assert refused.value.smtp_code == 535

    async def test_untrusted_certificate(self, running: Sandbox, trust: ssl.SSLContext, *, starttls: bool) -> None:
        mailbox, host = running.mailbox("linus@untrusted.test")
        with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
            await in_thread(lambda: imap_login(host, mailbox, trust, mailbox.password, starttls=starttls))
        with pytest.raises(ssl.SSLCertVerificationError):
            await in_thread(lambda: submit(host, mailbox, trust, mailbox.password, mailbox.address, starttls=starttls))

    async def test_mail_arrives(self, running: Sandbox, trust: ssl.SSLContext, *, starttls: bool) -> None:
        ada, acme = running.mailbox("ada@acme.test")
        edsger, nodmarc = running.mailbox("edsger@nodmarc.test")
        (before,) = await in_thread(lambda: imap_login(acme, ada, trust, ada.password, starttls=starttls))
        await in_thread(lambda: submit(nodmarc, edsger, trust, edsger.password, ada.address, starttls=starttls))
        (after,) = await in_thread(lambda: imap_login(acme, ada, trust, ada.password, starttls=starttls))
        assert int(after) == int(before) + 1

    async def test_nothing_leaves(self, running: Sandbox, trust: ssl.SSLContext, *, starttls: bool) -> None:
        ada, acme = running.mailbox("ada@acme.test")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            await in_thread(lambda: submit(acme, ada, trust, ada.password, "someone@example.com", starttls=starttls))


@pytest.mark.usefixtures("by_name")
async def test_no_mail_without_tls_and_authentication(running: Sandbox, trust: ssl.SSLContext) -> None:
    mailbox, host = running.mailbox("ada@acme.test")

    def mail_without_authentication() -> int:
        with smtplib.SMTP(host.name, host.submission, timeout=10) as client:
            in_clear, _ = client.mail(mailbox.address)
            client.starttls(context=trust)
            client.ehlo()
            return in_clear if in_clear != 530 else client.mail(mailbox.address)[0]

    assert await in_thread(mail_without_authentication) == 530


class TestDns:
    @pytest.fixture
    def resolver(self, running: Sandbox) -> dns.asyncresolver.Resolver:
        address, _, port = running.dns_servers[0].partition(":")
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port, resolver.lifetime = [address], int(port), 5
        return resolver

    @pytest.mark.parametrize("tcp", [True, False])
    async def test_good_domain(self, resolver: dns.asyncresolver.Resolver, running: Sandbox, *, tcp: bool) -> None:
        async def ask(name: str, kind: str) -> list[str]:
            return [str(record) for record in await resolver.resolve(name, kind, tcp=tcp)]

        host = running.hosts[0]
        assert await ask("acme.test", "MX") == ["10 mail.acme.test."]
        for name in ("MAIL.acme.test", "imap.acme.test", "smtp.acme.test"):
            assert await ask(name, "A") == [host.address]
        assert await ask("acme.test", "TXT") == ['"v=spf1 mx -all"']
        assert "p=reject" in (await ask("_dmarc.acme.test", "TXT"))[0]
        assert "k=rsa" in (await ask("default._domainkey.acme.test", "TXT"))[0]
        reverse = ".".join(reversed(host.address.split("."))) + ".in-addr.arpa"
        assert await ask(reverse, "PTR") == ["mail.acme.test."]

    async def test_where_the_servers_are(self, running: Sandbox, resolver: dns.asyncresolver.Resolver) -> None:
        [host] = [each for each in running.hosts if each.domain == "acme.test"]
        found = {}
        for label in ("imaps", "imap", "submissions", "submission"):
            [record] = await resolver.resolve(f"_{label}._tcp.acme.test", "SRV")
            found[label] = (record.target.to_text(), record.port)
        assert found == {
            "imaps": ("imap.acme.test.", host.imaps),
            "imap": ("imap.acme.test.", host.imap),
            "submissions": ("smtp.acme.test.", host.submissions),
            "submission": ("smtp.acme.test.", host.submission),
        }

    async def test_what_is_not_there(self, resolver: dns.asyncresolver.Resolver) -> None:
        with pytest.raises(dns.resolver.NXDOMAIN):
            await resolver.resolve("_dmarc.nodmarc.test", "TXT")
        with pytest.raises(dns.resolver.NXDOMAIN):
            await resolver.resolve("nobody.test", "A")
        with pytest.raises(dns.resolver.NoAnswer):
            await resolver.resolve("mail.acme.test", "AAAA")
        with pytest.raises(dns.resolver.NoAnswer):  # nothing at the name itself, but a name below it
            await resolver.resolve("_domainkey.acme.test", "TXT")

    async def test_an_answer_too_large_for_udp_is_truncated(self, running: Sandbox) -> None:
        address, _, port = running.dns_servers[0].partition(":")
        query = dns.message.make_query("acme.test", "ANY")
        zone = Zone("".join(f'acme.test. 60 IN TXT "{n:0>200}"\n' for n in range(5)))
        request = DNSRecord.parse(query.to_wire())
        assert len(zone.answer(request).pack()) > 512
        number, transport, tcp = await serve_dns(zone, Upstream([]), address, int(port) + 1)
        in_udp = await in_thread(lambda: dns.query.udp(query, address, timeout=5, port=number))
        in_full = await in_thread(lambda: dns.query.tcp(query, address, timeout=5, port=number))
        transport.close()
        tcp.close()
        assert in_udp.flags & dns.flags.TC
        assert not in_udp.answer
        assert len(in_full.answer[0]) == 5

    async def test_other_names_are_asked_of_the_machines_name_servers(
        self, resolver: dns.asyncresolver.Resolver, running: Sandbox
    ) -> None:
        address, _, port = running.dns_servers[0].partition(":")
        zone = Zone("example.com. 60 IN SOA ns. root. 1 60 60 60 60\nexample.com. 60 IN A 192.0.2.7\n")
        other, *known = await serve_dns(zone, Upstream([]), address, int(port) + 10)
        resolver.port, *asking = await serve_dns(Zone(""), Upstream([(address, other)]), address, int(port) + 20)
        try:
            assert [str(record) for record in await resolver.resolve("example.com", "A")] == ["192.0.2.7"]
            with pytest.raises(dns.resolver.NoNameservers):  # nobody there knows it
                await resolver.resolve("example.net", "A")
            with pytest.raises(dns.resolver.NXDOMAIN):
                await resolver.resolve("example.invalid", "A")
            assert not Zone(zone_file(running.hosts)).knows(DNSLabel("example.com"))
        finally:
            for server in (*known, *asking):
                server.close()

    async def test_garbage_is_survived(self, running: Sandbox, resolver: dns.asyncresolver.Resolver) -> None:
        address, _, port = running.dns_servers[0].partition(":")
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(address, int(port)))
        transport.sendto(b"\x00" * 5)
        transport.close()
        _, writer = await asyncio.open_connection(address, int(port))
        writer.write(b"\x00\x05hello")
        writer.close()
        assert await resolver.resolve("acme.test", "A")


async def test_passwords_and_authority_survive_a_restart(tmp_path: Path) -> None:
    authority, passwords = tmp_path / "authority.pem", tmp_path / "passwords.json"
    async with sandbox(tmp_path) as first:
        assert first.authority_file == str(authority)
    kept = authority.read_bytes()
    async with sandbox(tmp_path) as second:
        assert second == first
    assert authority.read_bytes() == kept
    assert passwords.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "authority.key").stat().st_mode & 0o777 == 0o600


async def test_two_sandboxes_do_not_meet(running: Sandbox, tmp_path: Path) -> None:
    async with sandbox(tmp_path) as second:
        assert not _places(second) & _places(running)
        assert second.dns_servers != running.dns_servers


def _places(of: Sandbox) -> set[tuple[str, int]]:
    servers = (*of.hosts, *of.providers)
    return {(one.address, p) for one in servers for p in (one.imap, one.imaps, one.submission, one.submissions)}
