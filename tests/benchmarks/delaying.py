"""A round trip on loopback: a process that hands datagrams and TCP streams on to a server, later."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator

import uvloop

__all__ = ["delayed"]


class _Client(asyncio.DatagramProtocol):
    """Takes questions, and sends each on over the socket of its sender, half of the delay later."""

    def __init__(self, target: tuple[str, int], half: float) -> None:
        self._target, self._half = target, half
        self._upstreams: dict[tuple[str, int], asyncio.DatagramTransport] = {}
        self._loop = asyncio.get_running_loop()
        self._opening: dict[tuple[str, int], asyncio.Task[None]] = {}

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        upstream = self._upstreams.get(addr)
        if upstream is not None:
            self._loop.call_later(self._half, upstream.sendto, data)
        elif addr not in self._opening:
            self._opening[addr] = asyncio.create_task(self._open(addr, data))
        else:
            self._opening[addr].add_done_callback(lambda _: self.datagram_received(data, addr))

    async def _open(self, addr: tuple[str, int], data: bytes) -> None:
        transport, _ = await self._loop.create_datagram_endpoint(
            lambda: _Server(lambda reply: self._loop.call_later(self._half, self._transport.sendto, reply, addr)),
            remote_addr=self._target,
        )
        self._upstreams[addr] = transport
        self._loop.call_later(self._half, transport.sendto, data)
        self._loop.call_later(30, self._close, addr)

    def _close(self, addr: tuple[str, int]) -> None:
        self._opening.pop(addr, None)
        self._upstreams.pop(addr).close()


class _Server(asyncio.DatagramProtocol):
    def __init__(self, received: object) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - the protocol's signature
        self._received(data)  # type: ignore[operator]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, half: float) -> None:
    loop = asyncio.get_running_loop()
    while data := await reader.read(65_536):
        loop.call_later(half, lambda later=data: None if writer.is_closing() else writer.write(later))


async def _serve(target: tuple[str, int], seconds: float) -> None:
    half = seconds / 2

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)  # the handshake
        there = await asyncio.open_connection(*target)
        ways = [asyncio.create_task(_pump(*way, half)) for way in ((reader, there[1]), (there[0], writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(seconds)  # what is still on its way
        for way in ways:
            way.cancel()
        for end in (writer, there[1]):
            end.close()

    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await loop.create_datagram_endpoint(lambda: _Client(target, half), local_addr=("127.0.0.1", port))
    print(port, flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def delayed(port: int, seconds: float) -> Iterator[int]:
    """The port of 127.0.0.1 where the server of another port seems to be that far away, over UDP and TCP."""
    command = [sys.executable, "-m", "benchmarks.delaying", str(port), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_serve(("127.0.0.1", int(sys.argv[1])), float(sys.argv[2])))
