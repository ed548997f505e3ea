"""Questions over HTTPS (RFC 8484), to one address that is looked up beforehand."""

import asyncio
import ssl
from typing import Final

import httpx2

from berth_dns_auditor.transport.wire import Question
from berth_net import AddressResolver, HostNotFound, LookupFailed, Nameserver
from berth_net.hosts import literal_address

__all__ = ["HttpsFailed", "HttpsServer"]

_TYPE: Final = "application/dns-message"
_SIZE_MAX: Final = 65_535
_CONNECTIONS: Final = 4


class HttpsFailed(Exception):
    """The name server did not answer over HTTPS. Check the URL in BERTH_DNS_SERVERS, and its certificate."""


class HttpsServer:
    """A name server behind a URL.

    Its name is looked up once, and again only when that address fails; every connection goes to that address, and its
    certificate is checked against the name. No proxy of the environment is used, and no redirect followed.

    Args:
        nameserver: whose transport is `https`.
        resolver: finds the address of its name.
        context: for TLS.
    """

    def __init__(self, nameserver: Nameserver, resolver: AddressResolver, context: ssl.SSLContext) -> None:
        self._server, self._resolver = nameserver, resolver
        self._looking_up = asyncio.Lock()
        self._address: str | None = None
        self._client = httpx2.AsyncClient(
            http2=True,
            verify=context,
            trust_env=False,
            timeout=None,  # the caller's deadline
            limits=httpx2.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
        )

    async def ask(self, question: Question, random_bits: int) -> bytes:  # noqa: ARG002 - as over UDP and TCP
        """The message in answer to a question. Waits for as long as it takes.

        Raises:
            HttpsFailed: there is none.
        """
        address = await self._pinned()
        server = self._server
        section = question.section(0)
        try:
            async with self._client.stream(
                "POST",
                httpx2.URL(scheme="https", host=address, port=server.port, path=server.path),
                headers={"host": _authority(server), "content-type": _TYPE, "accept": _TYPE},
                content=question.message(0, section),  # RFC 8484 §4.1: the id is 0, for caches
                extensions={"sni_hostname": server.address},
            ) as response:
                message = await _body(response)
        except asyncio.CancelledError:  # it took too long
            self._address = None
            raise
        except httpx2.HTTPError as error:
            self._address = None
            raise HttpsFailed(type(error).__name__) from error
        if message[12 : 12 + len(section)].lower() != section:
            raise HttpsFailed("an answer to another question")
        return message

    async def _pinned(self) -> str:
        async with self._looking_up:
            if self._address is None:
                literal = literal_address(self._server.address)
                try:
                    addresses = [literal] if literal else await self._resolver.addresses(self._server.address)
                except (HostNotFound, LookupFailed) as error:
                    raise HttpsFailed(str(error)) from error
                self._address = str(addresses[0])
        return self._address

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _authority(server: Nameserver) -> str:
    host = f"[{server.address}]" if ":" in server.address else server.address
    return host if server.port == 443 else f"{host}:{server.port}"  # noqa: PLR2004 - the port of https


async def _body(response: httpx2.Response) -> bytes:
    if response.status_code != httpx2.codes.OK or response.headers.get("content-type") != _TYPE:
        raise HttpsFailed(f"HTTP status {response.status_code}, {response.headers.get('content-type')}")
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > _SIZE_MAX:
            raise HttpsFailed(f"more than {_SIZE_MAX} bytes")
    return bytes(body)
