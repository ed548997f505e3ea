"""Nothing that a user names leads inside: every way to a private address is tried, and the socket tells what was dialled."""

import json
import ssl
from collections.abc import Iterator
from functools import cache
from ipaddress import ip_address
from typing import Any, Final
from uuid import uuid4

import pytest

from berth_connector.bootstrap import make_tokens
from berth_connector.diagnosis import DiagnosisTable
from berth_connector.oauth import WorkspaceKey
from berth_connector.probe import Login, Prober, TokenGrant, client_context
from berth_events.contracts import CredentialRef, MailServer, Verification
from berth_events.runtime.clock import SystemClock
from berth_gateway.autoconfig.known import KnownServices
from berth_gateway.autoconfig.lookup import Autoconfig
from berth_net import Address, HostGuard, HostNotFound, Policy, ServiceRecord
from berth_net.http import ExchangeFailed, HttpClient, WebGuard
from berth_net.urls import InvalidUrl, WebUrl
from berth_testing.asker import settings_for
from berth_testing.dials import watch_dials
from berth_testing.peers import Peer, Script
from berth_testing.token_service import TokenService, redirect, token_service
from berth_vault import Credential

PUBLIC: Final = "8.8.8.8"
INSIDE: Final = (
    "127.0.0.1",  # loopback
    "0.0.0.0",  # this host
    "0.1.2.3",
    "10.0.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",  # shared by carriers
    "100.100.100.200",  # Alibaba's metadata
    "169.254.169.254",  # metadata
    "169.254.170.2",  # ECS's
    "168.63.129.16",  # Azure's host
    "192.0.0.192",  # Oracle's metadata
    "192.0.2.1",  # documentation
    "192.88.99.1",  # relays of 6to4
    "198.18.0.1",  # benchmarks
    "224.0.0.1",  # multicast
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "fec0::1",  # site-local
    "fd00:ec2::254",  # metadata
    "fd20:ce::254",  # Google's
    "ff02::1",
    "ff0e::1",
    "100::1",  # discarded
    "2001:db8::1",
    "::ffff:127.0.0.1",  # mapped
    "::ffff:169.254.169.254",
    "::ffff:168.63.129.16",
    "::ffff:0:127.0.0.1",  # translated
    "::127.0.0.1",  # compatible
    "64:ff9b::7f00:1",  # NAT64
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::1",  # 6to4
    "2002:a9fe:a9fe::1",
    "2001:0:53aa:64c:0:0:80ff:fffe",  # Teredo
)
SPELLINGS: Final = (
    "127.1",
    "0x7f.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0",
    "00000177.0x0.0.1",
    "2852039166",  # 169.254.169.254
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "127.0.0.1.",
    "\uff11\uff12\uff17.\uff10.\uff10.\uff11",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "127.0.0.1\0.example.com",
    "127.0.0.1%00.example.com",
    "127.0.0.1 mail.example.com",
    "127.0.0.1\t",
    "[127.0.0.1]",
    "[::1]",
    "[::ffff:7f00:1]",
    "fe80::1%lo",
    "[fe80::1%25lo]",
    "::ffff:127.0.0.1%lo",
    "localhost",
    "LOCALHOST.",
    "\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54",
    "local\u00adhost",
    "mail.localhost",
    "host.docker.internal",
    "1.0.0.127.in-addr.arpa",
    "metadata.google.internal",
    "kubernetes.default.svc",
    "printer.local",
    "intranet",
    "127.0.0.1:993",
    "user@127.0.0.1",
    "mail.example.com@127.0.0.1",
    "127.0.0.1#mail.example.com",
    "127.0.0.1/mail.example.com",
    "127.0.0.1\\mail.example.com",
    "http://127.0.0.1",
    "8.8.8.8",  # an address is no name, not even a public one
)
#: What a name has when it is asked for the first time, the second time and so on.
Answers = dict[str, list[tuple[str, ...]]]


class Names:
    """The DNS of an attacker."""

    def __init__(self, **known: list[tuple[str, ...]]) -> None:
        self._known: Answers = {f"{label}.example.com": answers for label, answers in known.items()}

    async def addresses(self, host: str) -> tuple[Address, ...]:
        answers = self._known.get(host)
        if not answers:
            raise HostNotFound
        return tuple(map(ip_address, answers.pop(0) if len(answers) > 1 else answers[0]))

    async def exchanges(self, _domain: str) -> tuple[str, ...]:
        return ("localhost", "127.0.0.1", "inside.example.com")

    async def services(self, _name: str) -> tuple[ServiceRecord, ...]:
        hosts = ("localhost", "inside.example.com", "mixed.example.com")  # so many are looked at
        return tuple(ServiceRecord(host, 993) for host in hosts)


#: Loading them takes longer than a test.
tls = cache(client_context)
table = cache(DiagnosisTable.load)


def prober(names: Names) -> Prober:
    """As the connector has it where the operator allows no private network."""
    return Prober(HostGuard(names), tls(), table(), SystemClock(), local_hostname="verify.example")


async def verify(names: Names, host: str, *, security: str = "tls") -> Verification:
    imap, smtp = (
        Login(MailServer.model_validate({"host": host, "port": port, "security": security, "username": "a"}), "secret")
        for port in (993, 465)
    )
    return (await prober(names).verify(uuid4(), imap, smtp)).verification


def codes(found: Verification) -> set[str]:
    return {step.diagnosis.code for step in found.steps if step.diagnosis}


@pytest.mark.parametrize("security", ["tls", "starttls", "auto"])
async def test_a_public_mail_server_is_dialled(security: str) -> None:
    with watch_dials() as dials:
        await verify(Names(mail=[(PUBLIC,)]), "mail.example.com", security=security)
    assert dials.made >= {(PUBLIC, 993), (PUBLIC, 465)}
    assert {address for address, _ in dials.made} == {PUBLIC}


@pytest.mark.parametrize("address", INSIDE)
async def test_no_mail_server_is_inside(address: str) -> None:
    with watch_dials() as dials:
        for names in ([(address,)], [(PUBLIC, address)], [(address, PUBLIC)]):
            found = await verify(Names(mail=names), "mail.example.com")
            assert codes(found) == {"HOST_REFUSED"}
        assert codes(await verify(Names(), address)) == {"HOST_REFUSED"}
    assert dials.made == set()


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_spelling_of_a_mail_server_leads_inside(host: str) -> None:
    with watch_dials() as dials:
        found = await verify(Names(), host)
    assert found.outcome == "failed"
    assert codes(found) == {"HOST_REFUSED"}
    assert dials.made == set()


@pytest.mark.parametrize("security", ["tls", "starttls", "auto"])
async def test_a_name_that_changes_is_dialled_where_it_was_vetted(security: str) -> None:
    names = Names(mail=[(PUBLIC,), (PUBLIC,), ("127.0.0.1",)])  # once for either protocol
    with watch_dials() as dials:
        await verify(names, "mail.example.com", security=security)
    assert {address for address, _ in dials.made} == {PUBLIC}


@pytest.mark.parametrize("port", [22, 25, 80, 443, 2049, 5432, 6379, 9092])
async def test_no_other_port_of_a_mail_server_is_dialled(port: int) -> None:
    login = Login(
        MailServer(host="mail.example.com", port=port, security="tls", username="a"),
        "secret",
    )
    with watch_dials() as dials:
        found = (await prober(Names(mail=[(PUBLIC,)])).verify(uuid4(), login, login)).verification
    assert found.outcome == "failed"
    assert dials.made == set()


web_tls = cache(ssl.create_default_context)


async def ask(names: Names, url: str, policy: Policy | None = None, *, port: int = 443) -> int:
    """As the gateway's webhooks do."""
    guard = WebGuard(HostGuard(names, policy), ports=frozenset({80, 443, port}), plain="private")
    async with HttpClient(guard, tls=web_tls()) as client:
        return (await client.send("POST", WebUrl.parse(url), content=b"{}", deadline=5, max_bytes=1000)).status


async def test_a_public_receiver_of_webhooks_is_dialled() -> None:
    with watch_dials() as dials, pytest.raises(ExchangeFailed):
        await ask(Names(hook=[(PUBLIC,)]), "https://hook.example.com/")
    assert dials.made == {(PUBLIC, 443)}


@pytest.mark.parametrize("address", INSIDE)
async def test_no_webhook_leads_inside(address: str) -> None:
    literal = f"[{address}]" if ":" in address else address
    with watch_dials() as dials:
        for names in ([(address,)], [(PUBLIC, address)]):
            with pytest.raises(ExchangeFailed, match="public Internet"):
                await ask(Names(hook=names), "https://hook.example.com/")
        for scheme in ("http", "https"):
            with pytest.raises((ExchangeFailed, InvalidUrl)):
                await ask(Names(), f"{scheme}://{literal}/")
    assert dials.made == set()


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_spelling_of_a_webhook_leads_inside(host: str) -> None:
    with watch_dials() as dials, pytest.raises((ExchangeFailed, InvalidUrl)):
        await ask(Names(), f"https://{host}/")
    assert dials.made == set()


async def test_a_webhook_that_changes_is_dialled_where_it_was_vetted() -> None:
    names = Names(hook=[(PUBLIC,), ("127.0.0.1",)])
    with watch_dials() as dials:
        for _ in range(2):
            with pytest.raises(ExchangeFailed):
                await ask(names, "https://hook.example.com/")
    assert dials.made == {(PUBLIC, 443)}


@pytest.mark.parametrize("target", ["http://127.0.0.1:{trap}/", "http://169.254.169.254/", "//[::1]:{trap}/", "/again"])
async def test_a_redirect_of_a_webhook_is_not_followed(target: str) -> None:
    async with Peer.run(Script(greeting=b"")) as trap:
        location = target.format(trap=trap.port)
        answer = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
        async with Peer.run(Script(greeting=answer)) as hook:
            with watch_dials({("127.0.0.1", hook.port)}) as dials:
                policy = Policy.parse("127.0.0.1/32")
                status = await ask(
                    Names(hook=[("127.0.0.1",)]), f"http://hook.example.com:{hook.port}/", policy, port=hook.port
                )
    assert status == 307
    assert dials.made == {("127.0.0.1", hook.port)}


@pytest.mark.parametrize("address", INSIDE)
async def test_autoconfiguration_dials_nobody_and_proposes_nothing_inside(address: str) -> None:
    names = Names(inside=[(address,)], mixed=[(PUBLIC, address)])
    with watch_dials() as dials:
        found = await Autoconfig(KnownServices.load(), names, HostGuard(names)).find("attacker.example")
    assert dials.made == set()
    assert (found.imap, found.smtp, found.complete) == ((), (), True)


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenService]:
    with token_service(tmp_path_factory.mktemp("identity")) as service:
        yield service


async def token_outcome(service: TokenService, key: WorkspaceKey, **secrets: str) -> tuple[bool, set[tuple[str, int]]]:
    """Whether there was a token, and where it was asked for."""
    with make_tokens(settings_for(service), SystemClock()) as tokens:

        async def fetch() -> str:
            return await tokens.token(key, "ada@acme.example", Credential(secrets))

        with watch_dials({("127.0.0.1", service.port)}) as dials:
            finding = await prober(Names()).diagnose(TokenGrant(service=key.provider, fetch=fetch))
    return finding is None, {(address, port) for address, port in dials.made if address != "::1"}


INSIDE_URL: Final = "https://127.0.0.1:{trap}/latest/meta-data"
#: Fields that a key file may have, besides its URLs; and whether it is one that can be used at all.
CHANGED: Final[tuple[tuple[dict[str, Any], bool], ...]] = (
    ({}, True),
    ({"quota_project_id": "x", "trust_boundary": {"locations": INSIDE_URL}}, True),
    ({"universe_domain": "127.0.0.1"}, False),
    ({"type": "external_account", "credential_source": {"url": INSIDE_URL}, "token_url": INSIDE_URL}, False),
    ({"type": "external_account", "credential_source": {"environment_id": "aws1", "region_url": INSIDE_URL}}, False),
    ({"type": "impersonated_service_account", "service_account_impersonation_url": INSIDE_URL}, False),
    ({"type": "authorized_user", "refresh_token": "x", "client_id": "x", "client_secret": "x"}, False),
    ({"type": "gdch_service_account", "token_uri": INSIDE_URL, "ca_cert_path": "/etc/passwd"}, False),
)


def changed(key_file: str, trap: int, fields: dict[str, Any]) -> str:
    urls = ("token_uri", "auth_uri", "auth_provider_x509_cert_url", "client_x509_cert_url", "token_info_url")
    document = {**json.loads(key_file), **dict.fromkeys(urls, INSIDE_URL), **fields}
    return json.dumps(document).replace("{trap}", str(trap))


@pytest.mark.parametrize(("fields", "usable"), CHANGED)
async def test_an_uploaded_key_file_sends_nobody_inside(
    fields: dict[str, Any], usable: bool, identity: TokenService
) -> None:
    _, key_file = identity.google_workspace("ada@acme.example")
    key = WorkspaceKey(provider="google", credential_ref=CredentialRef(credential_id=uuid4(), version=1))
    async with Peer.run(Script(greeting=b"")) as trap:
        document = changed(key_file, trap.port, fields)
        works, dialled = await token_outcome(identity, key, service_account_key=document)
        assert trap.connections == 0
    assert works is usable
    assert dialled == ({("127.0.0.1", identity.port)} if usable else set())


@pytest.mark.parametrize("provider", ["google", "microsoft"])
async def test_a_redirect_of_a_token_endpoint_is_not_followed(provider: str, identity: TokenService) -> None:
    reference = CredentialRef(credential_id=uuid4(), version=1)
    async with Peer.run(Script(greeting=b"")) as trap:
        identity.identity.fault = redirect(f"https://127.0.0.1:{trap.port}/token")
        try:
            if provider == "google":
                _, key_file = identity.google_workspace("ada@acme.example")
                key = WorkspaceKey(provider="google", credential_ref=reference)
                works, dialled = await token_outcome(identity, key, service_account_key=key_file)
            else:
                tenant, application = identity.microsoft_workspace("ada@acme.example")
                key = WorkspaceKey(
                    provider="microsoft",
                    credential_ref=reference,
                    tenant_id=tenant.tenant_id,
                    client_id=application.client_id,
                )
                works, dialled = await token_outcome(identity, key, client_secret="s3cr~t.Value-of-the-App")
        finally:
            identity.identity.fault = None
        assert trap.connections == 0
    assert not works
    assert dialled == {("127.0.0.1", identity.port)}


@pytest.mark.parametrize("tenant", ["../127.0.0.1", "@127.0.0.1:{trap}", "127.0.0.1:{trap}/x", "x?y=https://127.0.0.1"])
async def test_a_tenant_of_microsoft_is_no_way_inside(tenant: str, identity: TokenService) -> None:
    async with Peer.run(Script(greeting=b"")) as trap:
        key = WorkspaceKey(
            provider="microsoft",
            credential_ref=CredentialRef(credential_id=uuid4(), version=1),
            tenant_id=tenant.format(trap=trap.port),
            client_id=str(uuid4()),
        )
        works, dialled = await token_outcome(identity, key, client_secret="s3cr~t.Value-of-the-App")
        assert trap.connections == 0
    assert not works
    assert dialled <= {("127.0.0.1", identity.port)}
