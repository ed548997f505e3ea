"""The HTTP client against real servers on loopback: what it refuses, and that it goes where it vetted."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_address

import pytest
import trustme

from berth_net import Address, HostGuard, HostNotFound, LookupFailed, Policy
from berth_net.http import Answer, ExchangeFailed, HttpClient, WebGuard
from berth_net.urls import WebUrl

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

LOOPBACK = Policy.parse("127.0.0.0/8")


class Table:
    """Resolves from a table; each question takes the next answer of its host, the last one for ever."""

    def __init__(self, **hosts: list[str]) -> None:
        self.hosts = {name.replace("_", "."): answers for name, answers in hosts.items()}
        self.asked: list[str] = []

    async def addresses(self, host: str) -> tuple[Address, ...]:
        self.asked.append(host)
        answers = self.hosts.get(host)
        if answers is None:
            raise HostNotFound
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if not answer:
            raise LookupFailed
        return tuple(map(ip_address, answer.split()))


@contextlib.asynccontextmanager
async def serving(
    handler: Handler, tls: ssl.SSLContext | None = None, *, host: str = "127.0.0.1"
) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await handler(reader, writer)
        writer.close()

    server = await asyncio.start_server(handle, host, 0, ssl=tls)
    yield server.sockets[0].getsockname()[1]
    server.close()


def answering(answer: bytes, requests: list[bytes] | None = None) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                if requests is not None:
                    requests.append(request)
                writer.write(answer)
                await writer.drain()

    return handle


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def ask(
    url: str, table: Table, *, policy: Policy = LOOPBACK, tls: ssl.SSLContext | None = None, max_bytes: int = 1000
) -> Answer:
    parsed = WebUrl.parse(url)
    guard = WebGuard(HostGuard(table, policy), ports=frozenset({80, 443, parsed.port}), plain="private")
    async with HttpClient(guard, tls=tls) as client:
        return await client.send("GET", parsed, deadline=2, max_bytes=max_bytes)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


def server_tls(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",  # metadata of clouds
        "168.63.129.16",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::1",
        "2001:0:53aa:64c:0:0:80ff:fffe",
        "93.184.216.34 127.0.0.1",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_name_that_leads_inside_is_refused(address: str, scheme: str) -> None:
    guard = WebGuard(HostGuard(Table(inside_example=[address])), plain="anywhere")
    async with HttpClient(guard) as client:
        with pytest.raises(ExchangeFailed) as failure:
            await client.send("GET", WebUrl.parse(f"{scheme}://inside.example/"), deadline=2, max_bytes=10)
    assert failure.value.reason == "host_refused"
    assert address not in str(failure.value)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "017700000001",
        "①②⑦.⓪.⓪.①",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "169.254.169.254",
        "93.184.216.34",
        "localhost",
        "metadata.google.internal",
        "127.0.0.1.",
    ],
)
async def test_an_address_in_any_spelling_is_refused_without_a_question(host: str) -> None:
    table = Table()
    with pytest.raises(ExchangeFailed) as failure:
        await ask(f"https://{host}/", table, policy=Policy())
    assert (failure.value.reason, table.asked) == ("host_refused", [])


async def test_it_connects_to_the_address_that_was_vetted_and_asks_once() -> None:
    requests: list[bytes] = []
    async with serving(answering(OK, requests), host="127.0.0.2") as port:
        table = Table(hook_test=["127.0.0.2", "127.0.0.3"])
        answer = await ask(f"http://Hook.test:{port}/path?a=b", table)
    assert (answer.status, answer.body, answer.truncated) == (200, b"ok", False)
    assert table.asked == ["hook.test"]
    assert requests[0].startswith(f"GET /path?a=b HTTP/1.1\r\nHost: hook.test:{port}\r\n".encode())


async def test_a_name_that_is_rebound_is_refused_at_the_next_connection() -> None:
    async with serving(answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")) as port:
        hosts = HostGuard(Table(hook_test=["127.0.0.1", "10.0.0.1"]), LOOPBACK)
        guard = WebGuard(hosts, ports=frozenset({port}), plain="private")
        url = WebUrl.parse(f"http://hook.test:{port}/")
        async with HttpClient(guard) as client:
            assert (await client.send("GET", url, deadline=2, max_bytes=10)).status == 200
            with pytest.raises(ExchangeFailed) as failure:
                await client.send("GET", url, deadline=2, max_bytes=10)
    assert failure.value.reason == "host_refused"


async def test_a_host_with_a_dead_address_is_reached_by_the_next_one() -> None:
    async with serving(answering(OK), host="127.0.0.5") as port:
        answer = await ask(f"http://hook.test:{port}/", Table(hook_test=["127.0.0.4 127.0.0.5"]))
    assert answer.status == 200


async def test_a_redirect_is_an_answer() -> None:
    inside: list[bytes] = []
    async with serving(answering(OK, inside)) as secret:
        redirect = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{secret}/\r\nContent-Length: 0\r\n\r\n"
        async with serving(answering(redirect.encode())) as port:
            answer = await ask(f"http://hook.test:{port}/", Table(hook_test=["127.0.0.1"]))
    assert (answer.status, answer.headers["location"], inside) == (302, f"http://127.0.0.1:{secret}/", [])


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving(answering(OK)) as port:
        assert (await ask(f"http://hook.test:{port}/", Table(hook_test=["127.0.0.1"]))).status == 200


async def test_plain_http_stays_in_allowed_networks() -> None:
    for url, answers in (("http://hook.example/", ["93.184.216.34"]), ("http://hook.example/", ["127.0.0.1 1.1.1.1"])):
        with pytest.raises(ExchangeFailed, match="https") as failure:
            await ask(url, Table(hook_example=answers))
        assert failure.value.reason == "host_refused"
    table = Table(hook_example=["127.0.0.1"])
    async with HttpClient(WebGuard(HostGuard(table, LOOPBACK))) as client:
        with pytest.raises(ExchangeFailed, match="https"):
            await client.send("GET", WebUrl.parse("http://hook.example/"), deadline=2, max_bytes=10)
    assert table.asked == []


async def test_a_port_that_is_not_allowed_is_refused() -> None:
    async with HttpClient(WebGuard(HostGuard(Table(hook_test=["127.0.0.1"]), LOOPBACK))) as client:
        with pytest.raises(ExchangeFailed, match="Port 6379") as failure:
            await client.send("POST", WebUrl.parse("https://hook.test:6379/"), deadline=2, max_bytes=10)
    assert failure.value.reason == "host_refused"


async def test_the_certificate_has_to_carry_the_name(authority: trustme.CA) -> None:
    trusted = client_tls(authority)
    table = Table(hook_test=["127.0.0.1"], other_test=["127.0.0.1"])
    async with serving(answering(OK), server_tls(authority, "hook.test")) as port:
        hosts = HostGuard(table, LOOPBACK)
        async with HttpClient(WebGuard(hosts, ports=frozenset({port})), tls=trusted) as client:
            url = WebUrl.parse(f"https://hook.test:{port}/")
            assert (await client.send("GET", url, deadline=2, max_bytes=10)).status == 200
            with pytest.raises(ExchangeFailed) as failure:  # although a connection to this very address is open
                await client.send("GET", WebUrl.parse(f"https://other.test:{port}/"), deadline=2, max_bytes=10)
        assert failure.value.reason == "tls"
        assert "certificate" in str(failure.value)
        with pytest.raises(ExchangeFailed) as failure:
            await ask(f"https://hook.test:{port}/", table)  # trusts the system's authorities only
        assert failure.value.reason == "tls"


async def test_a_long_answer_is_cut() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 10_000)
            await writer.drain()

    async with serving(endless) as port:
        answer = await ask(f"http://hook.test:{port}/", Table(hook_test=["127.0.0.1"]), max_bytes=500)
    assert (answer.status, answer.body, answer.truncated) == (200, b"x" * 500, True)


async def test_a_compressed_answer_is_not_unpacked() -> None:
    async with serving(answering(OK.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"))) as port:
        assert (await ask(f"http://hook.test:{port}/", Table(hook_test=["127.0.0.1"]))).body == b"ok"


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def drips(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def babbles(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.test ESMTP\r\n\r\n")
    await reader.read()


async def hangs_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def floods_headers(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-Long: " + b"y" * 1000 + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (silent, "timeout"),
        (drips, "timeout"),
        (babbles, "protocol"),
        (hangs_up, "protocol"),
        (floods_headers, "protocol"),
    ],
)
async def test_what_is_no_answer_has_a_reason(handler: Handler, reason: str) -> None:
    async with serving(handler) as port:
        guard = WebGuard(HostGuard(Table(hook_test=["127.0.0.1"]), LOOPBACK), ports=frozenset({port}), plain="private")
        async with HttpClient(guard) as client:
            with pytest.raises(ExchangeFailed) as failure:
                await client.send("GET", WebUrl.parse(f"http://hook.test:{port}/"), deadline=0.3, max_bytes=10)
    assert failure.value.reason == reason


async def test_hosts_that_are_not_there() -> None:
    for host, reason in (
        ("none.example", "host_not_found"),
        ("silent.example", "lookup_failed"),
        ("hook.test", "connect"),
    ):
        with pytest.raises(ExchangeFailed) as failure:
            await ask(f"http://{host}:1/", Table(silent_example=[""], hook_test=["127.0.0.1"]))
        assert failure.value.reason == reason
