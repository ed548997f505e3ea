"""Policies, web sites and registries over real TLS on loopback; and what is kept of their answers."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import pytest
import trustme

from berth_dns_auditor.checks.mta_sts import Unreachable
from berth_dns_auditor.checks.registration import Registered, RegistryUnavailable
from berth_dns_auditor.registry import Rdap
from berth_dns_auditor.web import Web
from berth_net import Address, HostGuard, HostNotFound, LookupFailed, Policy
from berth_net.http import Answer, HttpClient, WebGuard
from berth_net.urls import WebUrl

POLICY = "version: STSv1\r\nmode: none\r\nmax_age: 1\r\n"


class Hosts:
    """Every host is on loopback, but for those that are not."""

    async def addresses(self, host: str) -> tuple[Address, ...]:
        if "gone" in host:
            raise HostNotFound
        if "open" in host:
            raise LookupFailed
        return (ip_address("10.0.0.1" if "private" in host else "127.0.0.1"),)


@dataclass
class Site:
    """A server: what it answers by path, and what it was asked. Time passes only when it is told to."""

    port: int = 0
    answers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    header: str = "X: y"
    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                method, path, *_ = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ")
                self.asked.append(f"{method} {path}")
                status, _, body = self.answers.get(path, "404").partition("\n")
                sent = "" if method == "HEAD" else body
                writer.write(
                    f"HTTP/1.1 {status}\r\n{self.header}\r\nContent-Length: {len(body)}\r\n\r\n{sent}".encode()
                )
                await writer.drain()
        writer.close()


class OtherPort(HttpClient):
    """Goes to the site's port in place of 443."""

    def __init__(self, guard: WebGuard, tls: ssl.SSLContext, port: int) -> None:
        super().__init__(guard, tls=tls)
        self._port = port

    async def send(self, method: str, url: WebUrl, **options: Any) -> Answer:
        return await super().send(method, replace(url, port=self._port), **options)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def site(authority: trustme.CA) -> AsyncIterator[Site]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("mta-sts.example.com", "example.com", "rdap.example").configure_cert(context)
    site = Site()
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0, ssl=context)
    site.port = server.sockets[0].getsockname()[1]
    yield site
    server.close()


@pytest.fixture
async def client(site: Site, authority: trustme.CA) -> AsyncIterator[HttpClient]:
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    guard = WebGuard(HostGuard(Hosts(), Policy.parse("127.0.0.0/8")), ports=frozenset({site.port}), plain="anywhere")
    async with OtherPort(guard, tls, site.port) as client:
        yield client


PATH = "/.well-known/mta-sts.txt"


async def test_a_policy_is_fetched_once_for_an_id(site: Site, client: HttpClient) -> None:
    site.answers[PATH] = f"200 OK\n{POLICY}"
    web = Web(client, monotonic=site.monotonic)

    assert [await web.policy("example.com", "1") for _ in range(3)] == [POLICY] * 3
    assert len(site.asked) == 1
    await web.policy("example.com", "2")
    assert len(site.asked) == 2, "the id is another"
    site.now += 7 * 3600
    await web.policy("example.com", "2")
    assert len(site.asked) == 3, "it was kept for long enough"
    web.forget("example.com")
    await web.policy("example.com", "2")
    assert len(site.asked) == 4, "somebody wants to see"


@pytest.mark.parametrize(
    ("domain", "status", "says", "passing"),
    [
        ("example.com", "404 Not Found", "status 404", False),
        ("example.com", "301 Moved", "status 301", False),
        ("example.com", "503 Busy", "status 503", True),
        ("example.com", "429 Slowly", "status 429", True),
        ("other.example", "200 OK", "certificate", False),
        ("gone.example", "200 OK", "does not exist", False),
        ("open.example", "200 OK", "gave no answer", True),
        ("private.example", "200 OK", "", False),
    ],
)
async def test_why_there_is_no_policy(
    site: Site, client: HttpClient, domain: str, status: str, says: str, passing: bool
) -> None:
    site.answers[PATH] = status

    found = await Web(client).policy(domain, "1")

    assert isinstance(found, Unreachable)
    assert says in found.reason
    assert found.passing == passing


async def test_whether_a_site_answers(site: Site, client: HttpClient) -> None:
    web = Web(client)

    assert (await web.answers("https://example.com/"))[0] is True, "with whatever status"
    assert (await web.answers("https://other.example/"))[0] is False, "the certificate is another's"
    assert (await web.answers("https://gone.example/"))[0] is False
    assert (await web.answers("https://open.example/"))[0] is None
    assert (await web.answers("http://private.example/"))[0] is False, "the guard refuses it"
    assert site.asked == ["HEAD /"]


@pytest.fixture
def registry(site: Site, client: HttpClient) -> Rdap:
    services = [[["com", "net"], ["http://plain.example/", f"https://rdap.example:{site.port}/v1/"]], "nonsense"]
    site.answers["/dns.json"] = "200 OK\n" + json.dumps({"services": services})
    return Rdap(client, bootstrap_url="https://rdap.example/dns.json", monotonic=site.monotonic)


async def test_a_registration_is_read_once_a_day(site: Site, registry: Rdap) -> None:
    told = {
        "status": ["active", 7],
        "events": [
            {"eventAction": "registration", "eventDate": "2021-06-23T14:11:34Z"},
            {"eventAction": "expiration", "eventDate": "2027-06-23T14:11:34+02:00"},
            {"eventAction": "last changed", "eventDate": "yesterday"},
            "nonsense",
        ],
    }
    site.answers["/v1/domain/example.com"] = "200 OK\n" + json.dumps(told)

    answers = await asyncio.gather(*(registry.registration("example.com") for _ in range(5)))

    created = datetime(2021, 6, 23, 14, 11, 34, tzinfo=UTC)
    expires = datetime(2027, 6, 23, 12, 11, 34, tzinfo=UTC)
    assert set(answers) == {Registered(created, expires, ("active",))}
    assert site.asked == ["GET /dns.json", "GET /v1/domain/example.com"]
    site.now += 25 * 3600
    await registry.registration("example.com")
    assert site.asked[2:] == ["GET /v1/domain/example.com"]


async def test_a_name_without_registration(registry: Rdap) -> None:
    assert await registry.registration("nobody.net") is None


@pytest.mark.parametrize(
    ("domain", "answer", "says"),
    [
        ("example.org", "200 OK\n{}", "no RDAP server is known for .org"),
        ("example.com", "503 Busy", "answered 503"),
        ("example.com", "200 OK\n[]", "not a JSON object"),
        ("example.com", "200 OK\n" + "[" * 100_000, "not a JSON object"),
        ("example.com", "200 OK\n{" + " " * 300_000 + "}", "too long"),
    ],
)
async def test_what_cannot_be_learnt_is_not_known(
    site: Site, registry: Rdap, domain: str, answer: str, says: str
) -> None:
    site.answers["/v1/domain/example.com"] = answer

    with pytest.raises(RegistryUnavailable, match=says):
        await registry.registration(domain)


async def test_a_registry_that_says_too_many_is_left_alone(site: Site, registry: Rdap) -> None:
    site.answers["/v1/domain/first.com"], site.header = "429 Slowly", "Retry-After: 600"
    with pytest.raises(RegistryUnavailable, match="429"):
        await registry.registration("first.com")

    with pytest.raises(RegistryUnavailable, match="not asked more often"):
        await registry.registration("second.com")
    site.now += 601
    assert await registry.registration("second.com") is None
