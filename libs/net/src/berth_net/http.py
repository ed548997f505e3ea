"""HTTP to hosts that users name: the guard stands where the connection is made, so nothing gets around it.

No redirect is followed, no proxy of the environment is used, no content is decoded, and what is read is bounded.
"""

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

import httpcore

from berth_net.guard import HostGuard, HostRefused, PortRefused, VettedHost
from berth_net.resolver import HostNotFound, LookupFailed
from berth_net.urls import Scheme, WebUrl

__all__ = ["WEB_PORTS", "Answer", "ExchangeFailed", "HttpClient", "Plain", "PlainRefused", "Reason", "WebGuard"]

WEB_PORTS: Final = frozenset({80, 443})
#: Where http without TLS may go.
Plain = Literal["nowhere", "private", "anywhere"]
Reason = Literal["host_refused", "host_not_found", "lookup_failed", "connect", "tls", "timeout", "protocol"]

_CONNECTIONS: Final = 100
_IDLE_S: Final = 5.0
#: More addresses of one host are not tried: they share the time that there is.
_ADDRESSES: Final = 3

_Option: TypeAlias = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class PlainRefused(ValueError):
    """The host is on the public Internet, where http could be read by anybody. Use https."""


class ExchangeFailed(Exception):
    """There was no answer. `reason` is for programs, the text for people."""

    def __init__(self, reason: Reason, detail: str) -> None:
        """Take why."""
        super().__init__(detail)
        self.reason: Reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server answered.

    Attributes:
        headers: by lower-case name; of several with one name the first.
        body: as it came, undecoded.
        truncated: there was more of it.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    truncated: bool


class WebGuard:
    """Decides which URLs may be asked.

    Args:
        hosts: decides about names and addresses.
        ports: may be connected to.
        plain: where http without TLS may go; `private` is the operator's allowed networks.
    """

    def __init__(self, hosts: HostGuard, *, ports: frozenset[int] = WEB_PORTS, plain: Plain = "nowhere") -> None:
        self._hosts, self._ports, self._plain = hosts, ports, plain

    def check(self, url: WebUrl) -> WebUrl:
        """The URL with the canonical form of its host, if it may be looked up. Asks nobody.

        Raises:
            PortRefused, HostRefused, PlainRefused: it may not.
        """
        if url.port not in self._ports:
            raise PortRefused(f"Port {url.port} is not allowed. Use one of {', '.join(map(str, sorted(self._ports)))}.")
        if url.scheme == "http" and self._plain == "nowhere":
            raise PlainRefused("The URL is not https, so its exchange could be read by anybody. Use https.")
        return replace(url, host=self._hosts.check_name(url.host))

    async def vet(self, url: WebUrl) -> VettedHost:
        """Resolve the host once and check every address.

        Raises:
            PortRefused, HostRefused, PlainRefused: it may not be connected to.
            HostNotFound: the host has no address.
            LookupFailed: the question was not answered.
        """
        checked = self.check(url)
        addresses = await self._hosts.resolve(checked.host)
        self._hosts.check_addresses(checked.host, addresses)
        if checked.scheme == "http" and self._plain == "private" and not self._hosts.all_allowed(addresses):
            raise PlainRefused("The host is on the public Internet, where http could be read by anybody. Use https.")
        return VettedHost(checked.host, checked.port, addresses)


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    """Makes every connection of a client: the one place where a name becomes an address."""

    def __init__(self, guard: WebGuard, scheme: Scheme) -> None:
        self._guard, self._scheme, self._sockets = guard, scheme, httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[_Option] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to one of the vetted addresses."""
        vetted = await self._guard.vet(WebUrl(scheme=self._scheme, host=host, port=port, target="/"))
        addresses = vetted.addresses[:_ADDRESSES]
        each = timeout and timeout / len(addresses)
        failure: Exception | None = None
        for address in addresses:
            try:
                return await self._sockets.connect_tcp(str(address), port, each, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError("the host has no address")


class HttpClient:
    """Asks URLs within a guard's limits; connections are kept for some seconds. An async context manager.

    Args:
        guard: decides what may be asked.
        tls: verifies servers; default: the authorities that the system trusts.
        user_agent: names this program.
        connections: at once, at most.
    """

    def __init__(
        self,
        guard: WebGuard,
        *,
        tls: ssl.SSLContext | None = None,
        user_agent: str = "Berth/1",
        connections: int = _CONNECTIONS,
    ) -> None:
        self._guard, self._user_agent = guard, user_agent
        context = tls or ssl.create_default_context()
        schemes: tuple[Scheme, ...] = ("http", "https")
        self._pools = {
            scheme: httpcore.AsyncConnectionPool(
                ssl_context=context,
                max_connections=connections,
                keepalive_expiry=_IDLE_S,
                network_backend=_GuardedBackend(guard, scheme),
            )
            for scheme in schemes
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections that were kept."""
        for pool in self._pools.values():
            await pool.aclose()

    async def send(
        self,
        method: str,
        url: WebUrl,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        deadline: float,
        max_bytes: int,
    ) -> Answer:
        """One request and its answer, whatever its status.

        Args:
            method: `GET`, `POST`, …
            url: whom to ask.
            headers: besides Host, User-Agent and Accept-Encoding.
            content: the body.
            deadline: seconds for everything, from the lookup of the host to the end of the answer.
            max_bytes: how much of the answer's body is read at most.

        Raises:
            ExchangeFailed: there was no answer.
        """
        try:
            async with asyncio.timeout(deadline):
                return await self._send(method, self._guard.check(url), headers or {}, content, deadline, max_bytes)
        except TimeoutError as error:
            raise ExchangeFailed("timeout", f"There was no complete answer within {deadline:g} s.") from error
        except (PortRefused, HostRefused, PlainRefused) as error:
            raise ExchangeFailed("host_refused", str(error)) from error
        except HostNotFound as error:
            raise ExchangeFailed("host_not_found", "The host does not exist, or has no address.") from error
        except LookupFailed as error:
            raise ExchangeFailed("lookup_failed", "The name servers gave no answer about the host.") from error
        except httpcore.TimeoutException as error:
            raise ExchangeFailed("timeout", "The host did not accept the connection in time.") from error
        except httpcore.NetworkError as error:
            raise _network_failure(error) from error
        except (httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
            raise ExchangeFailed(
                "protocol", "What the host answered is not HTTP, or it closed the connection."
            ) from error

    async def _send(
        self, method: str, url: WebUrl, headers: Mapping[str, str], content: bytes, deadline: float, max_bytes: int
    ) -> Answer:
        sent = {
            "Host": url.authority,
            "User-Agent": self._user_agent,
            "Accept-Encoding": "identity",
            **headers,
        }
        where = httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target)
        body, truncated = bytearray(), False
        async with self._pools[url.scheme].stream(
            method,
            where,
            headers=list(sent.items()),
            content=content or None,
            extensions={"timeout": {"connect": deadline}},
        ) as response:
            async for chunk in response.aiter_stream():
                body += chunk
                if truncated := len(body) > max_bytes:
                    break
            return Answer(
                status=response.status,
                headers=_headers(response.headers),
                body=bytes(body[:max_bytes]),
                truncated=truncated,
            )


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in raw:
        found.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return found


def _network_failure(error: httpcore.NetworkError) -> ExchangeFailed:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__  # httpcore's pool forgets the cause, not the context
    if isinstance(cause, ssl.SSLCertVerificationError):
        return ExchangeFailed("tls", f"The certificate of the host was refused: {cause.verify_message}.")
    if cause is not None:
        return ExchangeFailed("tls", "TLS with the host failed.")
    if isinstance(error, httpcore.ConnectError):
        return ExchangeFailed("connect", "The host cannot be connected to.")
    return ExchangeFailed("connect", "The host closed the connection.")
