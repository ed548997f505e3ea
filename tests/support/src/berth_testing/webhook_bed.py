"""A gateway that may send webhooks to loopback, and a receiver that is a real HTTP server."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid4

import httpx

from berth_events.contracts import AccountRemoved, Envelope
from berth_events.runtime.store import EventStore
from berth_gateway import feed
from berth_gateway.api.app import make_app
from berth_gateway.bootstrap import Gateway, compose
from berth_testing.gateway_harness import GatewayHarness, Project
from berth_testing.waiting import eventually

__all__ = ["HOST", "Received", "Receiver", "WebhookBed", "receiving", "webhook_bed"]

#: The receiver's name; it resolves to loopback unless a test says otherwise.
HOST: Final = "hook.test"
_NETWORK: Final = "127.0.0.0/29"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: str

    @property
    def event(self) -> dict[str, Any]:
        """The message."""
        found: dict[str, Any] = json.loads(self.body)
        return found


async def _accept(_: Received) -> tuple[int, dict[str, str], str]:
    return 204, {}, ""


@dataclass(slots=True)
class Receiver:
    """Notes every request and answers what the test says.

    Attributes:
        requests: in the order in which they came.
        answer: status, headers and body for a request; may take its time.
        at_once: how many requests were being answered at the same time, at most.
    """

    port: int = 0
    requests: list[Received] = field(default_factory=list)
    answer: Callable[[Received], Awaitable[tuple[int, dict[str, str], str]]] = _accept
    at_once: int = 0
    _answering: int = 0

    def says(self, status: int, headers: Mapping[str, str] | None = None, body: str = "") -> None:
        """Answer this from now on."""

        async def answer(_: Received) -> tuple[int, dict[str, str], str]:
            return status, dict(headers or {}), body

        self.answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                request, *lines = head.splitlines()
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                received = Received(path=request.split()[1], headers=headers, body=body.decode())
                self.requests.append(received)
                self._answering += 1
                self.at_once = max(self.at_once, self._answering)
                try:
                    status, extra, text = await self.answer(received)
                finally:
                    self._answering -= 1
                fields = "".join(f"{name}: {value}\r\n" for name, value in extra.items())
                content = text.encode()
                writer.write(
                    f"HTTP/1.1 {status} Said\r\nContent-Length: {len(content)}\r\n{fields}\r\n".encode() + content
                )
                await writer.drain()


@contextlib.asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None, *, port: int = 0) -> AsyncIterator[Receiver]:
    """A receiver on a port of 127.0.0.1, by default on a free one."""
    receiver = Receiver()
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(receiver.serve(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


@dataclass(slots=True, kw_only=True)
class WebhookBed:
    """A gateway, a project, and its receiver.

    Attributes:
        http: a client with the project's key.
    """

    harness: GatewayHarness
    project: Project
    receiver: Receiver
    gateway: Gateway
    http: httpx.AsyncClient
    scheme: str

    @property
    def url(self) -> str:
        """Where the receiver is."""
        return f"{self.scheme}://{HOST}:{self.receiver.port}/hook"

    async def create(self, **changes: Any) -> dict[str, Any]:
        """A webhook for the receiver."""
        answer = await self.http.post("/v1/webhooks", json={"url": self.url, **changes})
        if answer.status_code != httpx.codes.CREATED:
            raise AssertionError(f"{answer.status_code} {answer.text}")
        made: dict[str, Any] = answer.json()
        return made

    async def publish(self, *subjects: UUID, project_id: UUID | None = None) -> list[UUID]:
        """Publish an event for each subject in turn, in one transaction; their ids."""
        owner = project_id or self.project.project_id
        envelopes = [
            Envelope(
                event_id=uuid4(),
                source="/berth/gateway",
                sequence=1,
                time=self.harness.clock.now(),
                data=AccountRemoved(
                    account_id=subject,
                    organization_id=self.project.organization_id,
                    project_id=owner,
                    address="alice@acme.test",
                    seat_kind="monitoring",
                    reason="requested",
                ),
            )
            for subject in subjects
        ]
        async with self.harness.pool.acquire() as connection, connection.transaction():
            await feed.publish(connection, [(owner, envelope) for envelope in envelopes])
        return [envelope.event_id for envelope in envelopes]

    def delivering(self, *more: Gateway) -> AbstractAsyncContextManager[None]:
        """Run the workers of this gateway and of others while the block runs."""
        return self.delivering_by(self.gateway, *more)

    @contextlib.asynccontextmanager
    async def delivering_by(self, *gateways: Gateway) -> AsyncIterator[None]:
        """Run the workers of these gateways while the block runs."""
        workers = [asyncio.create_task(gateway.deliveries.run()) for gateway in gateways]
        try:
            yield
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            for gateway in gateways:
                await gateway.http.aclose()

    async def deliveries(self, webhook: Mapping[str, Any], **parameters: Any) -> list[dict[str, Any]]:
        """The log of a webhook, the latest first."""
        answer = await self.http.get(f"/v1/webhooks/{webhook['id']}/deliveries", params=parameters)
        items: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
        return items

    async def states(self) -> dict[str, int]:
        """How many deliveries there are in each state."""
        rows = await self.harness.owner.fetch("SELECT state, count(*) AS rows FROM webhook_delivery GROUP BY state")
        return {row["state"]: row["rows"] for row in rows}

    async def until(self, **wanted: int) -> None:
        """Wait until there are so many deliveries in these states, and none in others."""
        await eventually(self.states, lambda found: found == wanted, within=10, pause=0.02)

    async def attempted(self, times: int) -> None:
        """Wait until there were so many attempts, all together, and each is recorded."""
        count = """SELECT coalesce(sum(jsonb_array_length(attempts)), 0) FROM webhook_delivery"""
        await eventually(
            lambda: self.harness.owner.fetchval(count), lambda found: found >= times, within=10, pause=0.02
        )

    def another(self, **settings: Any) -> Gateway:
        """A second replica, which trusts the system's authorities alone, with other settings if need be."""
        return _gateway(self.harness, self.receiver, None, **settings)


@contextlib.asynccontextmanager
async def webhook_bed(
    harness: GatewayHarness,
    project: Project,
    *,
    server: ssl.SSLContext | None = None,
    client: ssl.SSLContext | None = None,
) -> AsyncIterator[WebhookBed]:
    """A bed on the harness's database.

    Args:
        harness: emptied.
        project: whose webhooks.
        server: TLS of the receiver; None: plain http.
        client: what the gateway trusts.
    """
    harness.resolver.known[HOST] = "127.0.0.1"
    async with receiving(server) as receiver:
        gateway = _gateway(harness, receiver, client)
        transport = httpx.ASGITransport(make_app(gateway.services), raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {project.key}"}
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as http,
            gateway.http,
        ):
            yield WebhookBed(
                harness=harness,
                project=project,
                receiver=receiver,
                gateway=gateway,
                http=http,
                scheme="https" if server else "http",
            )


def _gateway(harness: GatewayHarness, receiver: Receiver, tls: ssl.SSLContext | None, **changes: Any) -> Gateway:
    settings = {"berth_allow_networks": _NETWORK, "berth_webhook_ports": str(receiver.port), **changes}
    changed = harness.settings.model_copy(update=settings)
    store = EventStore("/berth/gateway", harness.clock)
    return compose(changed, harness.pool, store, harness.clock, harness.resolver, harness.resolver, tls=tls)
