"""A name server that forgot TCP: it passes datagrams on to a real one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from berth_testing.nsd import NameServer

__all__ = ["udp_only"]


class _Relay(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        task = asyncio.create_task(self._pass_on(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, data: bytes, client: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()

        class Waiting(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, _: tuple[str, int]) -> None:
                if not answer.done():
                    answer.set_result(data)

        transport, _ = await loop.create_datagram_endpoint(
            Waiting, remote_addr=(self._server.address, self._server.port)
        )
        try:
            transport.sendto(data)
            self._transport.sendto(await asyncio.wait_for(answer, 5), client)
        finally:
            transport.close()


@asynccontextmanager
async def udp_only(server: NameServer) -> AsyncIterator[NameServer]:
    """The server, without TCP, at another port."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Relay(server), local_addr=("127.0.0.1", 0))
    try:
        yield NameServer("127.0.0.1", transport.get_extra_info("sockname")[1])
    finally:
        transport.close()
