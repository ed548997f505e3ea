"""The played providers, as the connector's own probe finds them: by their names from the sandbox's name server, over TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import uuid4

import dns.asyncresolver
import dns.resolver
import pytest
from dnslib import DNSLabel

from berth_connector.diagnosis import DiagnosisTable
from berth_connector.probe import Limits, Login, Prober, client_context
from berth_events.contracts import Diagnosis, MailServer
from berth_events.runtime.clock import SystemClock
from berth_local.sandbox.description import PlayedProvider, Sandbox
from berth_local.sandbox.dns import Zone
from berth_local.sandbox.providers.listing import listing
from berth_local.sandbox.providers.mailboxes import Casting, Played
from berth_local.sandbox.providers.speakers import PROVIDERS
from berth_local.sandbox.server import sandbox
from berth_local.sandbox.zone import provider_zones, zone_file
from berth_local.settings import LocalSettings, UnknownProviders, chosen_providers
from berth_local.stack import remembered_providers
from berth_local.state import State
from berth_net import DnsResolver, HostGuard, Policy

PATIENT = Limits(resolve=10, connect=10, tls=15, reply=15, authenticate=15, look=5, total=40)
AT_ONCE = 8
CASTING = Casting(DiagnosisTable.load())


@dataclass(frozen=True)
class Bed:
    """The sandbox, and a probe that knows no more of it than the services do."""

    sandbox: Sandbox
    prober: Prober

    def provider(self, name: str) -> PlayedProvider:
        return next(provider for provider in self.sandbox.providers if provider.name == name)

    async def sign_in(
        self, provider: str, protocol: str, user: str, *, security: str = "tls", password: str | None = None
    ) -> Diagnosis | None:
        """What is wrong at one of the provider's two servers."""
        at = self.provider(provider)
        if protocol == "imap":
            host, port = at.imap_hosts[0], at.imaps if security == "tls" else at.imap
        else:
            host, port = at.smtp_hosts[0], at.submissions if security == "tls" else at.submission
        fields: dict[str, Any] = {"host": host, "port": port, "security": security, "username": user}
        login = Login(MailServer.model_validate(fields), password or self.sandbox.provider_password or "")
        imap, smtp = (login, None) if protocol == "imap" else (None, login)
        return (await self.prober.verify(uuid4(), imap, smtp)).verification.diagnosis


def told_something(played: Played) -> bool:
    return any(played.line(protocol, by_token=False) for protocol in ("imap", "smtp"))


def takes_passwords(provider: str) -> bool:
    service = CASTING.service(provider, f"works@{CASTING.home(provider)}")
    assert service
    return service.takes_passwords


@pytest.fixture(scope="module")
async def bed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bed]:
    async with sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        policy = Policy(allow_networks=tuple(map(ip_network, running.networks)), allow_ports=frozenset(running.ports))
        yield Bed(
            running,
            Prober(
                HostGuard(DnsResolver(running.dns_servers), policy),
                client_context(Path(running.authority_file)),
                DiagnosisTable.load(),
                SystemClock(),
                local_hostname="verify.test.example",
                limits=PATIENT,
            ),
        )


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_every_mailbox_fails_with_what_its_name_says(bed: Bed, provider: str) -> None:
    """The servers' words lead the connector to the diagnosis of their row, so that the names promise nothing false."""
    crowd = asyncio.Semaphore(AT_ONCE)
    domain = CASTING.home(provider)
    names = [
        name
        for name, played in CASTING.mailboxes[provider].items()
        if takes_passwords(provider) or told_something(played)
    ]

    async def found(name: str, protocol: str) -> tuple[str, str, str | None]:
        async with crowd:
            diagnosis = await bed.sign_in(provider, protocol, f"{name}@{domain}")
        return name, protocol, diagnosis and diagnosis.code

    def expected(name: str, protocol: str) -> str | None:
        line = CASTING.mailboxes[provider][name].line(protocol, by_token=False)
        sends = line is not None and line.step in ("mail_from", "rcpt_to", "data")
        return None if line is None or sends else line.rule.code

    cases = [(name, protocol) for name in names for protocol in ("imap", "smtp")]
    results = await asyncio.gather(*(found(*case) for case in cases))
    assert {(name, protocol): code for name, protocol, code in results} == {case: expected(*case) for case in cases}
    assert len(names) >= 2


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("protocol", ["imap", "smtp"])
@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_who_is_let_in(bed: Bed, provider: str, protocol: str, security: str) -> None:
    """Those who know the password of a mailbox that works, unless the provider takes no passwords any more."""
    wrong = CASTING.refusal(provider, protocol, by_token=False).rule
    for domain in {CASTING.home(provider), bed.provider(provider).domains[-1]} - {"gworkspace.test", "m365.test"}:
        accepted = await bed.sign_in(provider, protocol, f"works+7@{domain}", security=security)
        assert accepted is None if takes_passwords(provider) else accepted and accepted.code == "AUTH_BASIC_DISABLED"
        refused = await bed.sign_in(provider, protocol, f"works@{domain}", security=security, password="n0t-th1s")
        assert refused
        assert (refused.code, "n0t-th1s" in (refused.reply or "")) == (wrong.code, False)
    stranger = await bed.sign_in(provider, protocol, f"me@{CASTING.home(provider)}", security=security)
    assert stranger
    assert stranger.code == wrong.code
    if protocol == "imap":
        assert f"it has no mailbox me@{CASTING.home(provider)}" in (stranger.reply or "")


async def test_users_are_found_however_the_client_names_them(bed: Bed) -> None:
    assert await bed.sign_in("icloud", "imap", "works") is None  # without the domain, as iCloud wants it
    assert await bed.sign_in("google", "imap", "Works@GoogleMail.com") is None
    elsewhere = await bed.sign_in("google", "imap", "works@yahoo.com")
    assert elsewhere
    assert elsewhere.code == "AUTH_BAD_CREDENTIALS"


async def test_the_certificates_are_for_the_names_of_the_provider_alone(bed: Bed) -> None:
    google = bed.provider("google")
    trust = ssl.create_default_context(cafile=bed.sandbox.authority_file)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for 'imap\.yandex\.com'"):
        await asyncio.open_connection(google.address, google.imaps, ssl=trust, server_hostname="imap.yandex.com")


class TestNames:
    @pytest.fixture
    def resolver(self, bed: Bed) -> dns.asyncresolver.Resolver:
        address, _, port = bed.sandbox.dns_servers[0].partition(":")
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port, resolver.lifetime = [address], int(port), 5
        return resolver

    async def test_every_host_is_at_its_provider(self, bed: Bed, resolver: dns.asyncresolver.Resolver) -> None:
        for provider in bed.sandbox.providers:
            for host in (*provider.imap_hosts, *provider.smtp_hosts):
                assert [str(record) for record in await resolver.resolve(host, "A")] == [provider.address], host

    async def test_every_domain_has_its_mail_there(self, bed: Bed, resolver: dns.asyncresolver.Resolver) -> None:
        for provider in bed.sandbox.providers:
            for domain in provider.domains:
                [exchange] = await resolver.resolve(domain, "MX")
                [address] = await resolver.resolve(exchange.exchange, "A")
                assert str(address) == provider.address, domain

    def test_what_is_beside_them_stays_what_it_is(self) -> None:
        zone = Zone(provider_zones(CASTING.services, dict.fromkeys(PROVIDERS, "127.0.53.11"), ()))
        for name in ("imap.gmail.com", "nothing.gmail.com", "smtp.office365.com", "mx.mail.protection.outlook.com"):
            assert zone.knows(DNSLabel(name)), name
        for name in ("oauth2.googleapis.com", "www.google.com", "www.office365.com", "login.microsoftonline.com"):
            assert not zone.knows(DNSLabel(name)), name


async def test_real_providers_are_left_alone(tmp_path: Path) -> None:
    async with sandbox(tmp_path, providers=False) as running:
        assert running.providers == ()
        assert running.provider_password is None
        zone = Zone(zone_file(running.hosts))
        assert not [
            host for one in PROVIDERS.values() for host in (one.imap_host, one.smtp_host) if zone.knows(DNSLabel(host))
        ]
        assert zone.knows(DNSLabel("acme.test"))


@pytest.mark.parametrize(("text", "chosen"), [(None, None), ("", None), ("played", "played"), ("real", "real")])
def test_the_choice(text: str | None, chosen: str | None) -> None:
    assert chosen_providers({"PROVIDERS": text} if text is not None else {}) == chosen


def test_the_choice_is_remembered(tmp_path: Path) -> None:
    def started_with(text: str | None) -> str:
        settings = LocalSettings.read(tmp_path, {"PROVIDERS": text} if text else {})
        return remembered_providers(settings, State(tmp_path / "secrets.json"))

    assert [started_with(text) for text in (None, "real", None, "played", None)] == [
        "played",
        "real",
        "real",
        "played",
        "played",
    ]


def test_a_choice_that_there_is_not() -> None:
    with pytest.raises(UnknownProviders, match="PROVIDERS=fake: there are `played`"):
        chosen_providers({"PROVIDERS": "fake"})


def test_the_list_has_every_mailbox() -> None:
    text = listing(CASTING)
    for provider, mailboxes in CASTING.mailboxes.items():
        assert CASTING.names[provider] in text
        for name, played in mailboxes.items():
            assert f"  {name}" in text
            assert all(rule.code in text or name == rule.code.lower().replace("_", "-") for rule in played.rules)
