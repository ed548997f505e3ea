"""The bytes of a connection: cut in any way, encrypted or not, and never more of them than are wanted."""

import asyncio
import gc
import ssl
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from berth_connector.probe.stream import LineTooLong, Stream, connect
from berth_testing.certificates import issue_certificates

HERE = [ip_address("127.0.0.1")]
NAME = "mail.test.example"
MOST_UNREAD = 16 * 1024


class Pipe(asyncio.Transport):
    """A transport that keeps what is sent, and hands over what is received only while it is not paused."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.stream, self.sent, self.paused, self.closing = stream, bytearray(), False, False
        self.waiting = bytearray()
        stream.connection_made(self)

    def receive(self, data: bytes) -> None:
        self.waiting += data
        while self.waiting and not self.paused:
            buffer = memoryview(self.stream.get_buffer(-1))
            count = min(len(buffer), len(self.waiting))
            buffer[:count] = self.waiting[:count]
            del self.waiting[:count]
            self.stream.buffer_updated(count)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False
        asyncio.get_running_loop().call_soon(self.receive, b"")

    def abort(self) -> None:
        self.closing = True


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context and a client's."""
    folder = tmp_path_factory.mktemp("stream") / "tls"
    authority = issue_certificates(folder)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "good.crt", folder / "good.key")
    return server, ssl.create_default_context(cafile=str(authority))


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at, turn = [], 0, 0
    while at < len(data):
        pieces.append(data[at : at + sizes[turn % len(sizes)]])
        at += sizes[turn % len(sizes)]
        turn += 1
    return pieces


async def read_lines(stream: Stream, count: int) -> list[bytes]:
    lines = []
    while len(lines) < count:
        line = stream.take_line(8192)
        if line is None:
            await stream.more()
        else:
            lines.append(line)
    return lines


async def until_it_ends(stream: Stream) -> None:
    while True:
        await stream.more()


async def assert_goes_on(stream: Stream, pipe: Pipe) -> None:
    """Whoever waits for more lets the server send it."""
    waiting = asyncio.create_task(stream.more())
    await asyncio.sleep(0)
    assert not pipe.paused
    pipe.receive(b"")
    waiting.cancel()
    await asyncio.wait([waiting])


SIZES = st.lists(st.integers(1, 40_000), min_size=1, max_size=5)
LINES = st.lists(st.integers(0, 8000), min_size=1, max_size=25)


@settings(max_examples=60, deadline=timedelta(seconds=5))
@given(lengths=LINES, sizes=SIZES)
def test_plain_lines_come_out_however_they_were_cut(lengths: list[int], sizes: list[int]) -> None:
    lines = [b"x" * length + b"\n" for length in lengths]

    async def run() -> None:
        stream = Stream()
        pipe = Pipe(stream)
        for piece in cut(b"".join(lines), sizes):
            pipe.receive(piece)
            assert len(stream._arrived) < MOST_UNREAD + len(pipe.stream.get_buffer(-1))
        assert await read_lines(stream, len(lines)) == lines
        assert stream.take_unread() == b""
        await assert_goes_on(stream, pipe)

    asyncio.run(run())


@settings(max_examples=60, deadline=timedelta(seconds=5))
@given(lengths=LINES, sizes=SIZES, records=SIZES)
def test_encrypted_lines_come_out_however_they_were_cut(
    tls: Any, lengths: list[int], sizes: list[int], records: list[int]
) -> None:
    lines = [b"y" * length + b"\n" for length in lengths]
    server_context, client_context = tls

    async def run() -> None:
        stream = Stream()
        pipe = Pipe(stream)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = server_context.wrap_bio(incoming, outgoing, server_side=True)
        shaking = asyncio.create_task(stream.start_tls(client_context, NAME))
        shaken = False
        while not (shaken and shaking.done()):
            await asyncio.sleep(0)
            incoming.write(bytes(pipe.sent))
            pipe.sent.clear()
            with suppress(ssl.SSLWantReadError):
                server.do_handshake()
                shaken = True
            for piece in cut(outgoing.read(), sizes):
                pipe.receive(piece)
                await asyncio.sleep(0)
        await shaking
        for record in cut(b"".join(lines), records):
            server.write(record)
        for piece in cut(outgoing.read(), sizes):
            pipe.receive(piece)
        assert len(stream._arrived) <= MOST_UNREAD
        assert await read_lines(stream, len(lines)) == lines
        await assert_goes_on(stream, pipe)
        stream.write(b"thank you")
        incoming.write(bytes(pipe.sent))
        assert server.read(100) == b"thank you"

    asyncio.run(run())


async def test_a_flood_has_to_wait() -> None:
    stream = Stream()
    pipe = Pipe(stream)
    pipe.receive(b"z" * 1_000_000)
    assert pipe.paused
    assert len(stream._arrived) <= 2 * MOST_UNREAD
    with pytest.raises(LineTooLong):
        stream.take_line(8192)
    assert len(await stream.read_exactly(1_000_000)) == 1_000_000


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@asynccontextmanager
async def serving(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await serve(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(run, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_session_is_resumed(tls: Any) -> None:
    reused = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reused.append(writer.get_extra_info("ssl_object").session_reused)
        writer.write(b"hello\n")
        await reader.read(1)

    async with serving(serve, tls[0]) as port, asyncio.timeout(5):
        session = None
        for _ in range(2):
            stream = await connect(HERE, port, 1)
            await stream.start_tls(tls[1], NAME, session)
            assert await read_lines(stream, 1) == [b"hello\n"]
            assert stream.tls is not None
            session = stream.tls.session
            stream.abort()
    assert reused == [False, True]


async def test_why_a_connection_ended_is_told_once(tls: Any) -> None:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"last words\n")
        await writer.drain()

    for context in (None, tls[0]):
        async with serving(serve, context) as port, asyncio.timeout(5):
            stream = await connect(HERE, port, 1)
            if context is not None:
                await stream.start_tls(tls[1], NAME)
            assert await read_lines(stream, 1) == [b"last words\n"]
            for _ in range(2):
                with pytest.raises((EOFError, ConnectionResetError)):
                    await until_it_ends(stream)
            stream.write(b"is anybody there?\n")
            stream.abort()


class Lost(Exception):
    """Why a connection ended."""


async def test_why_a_connection_ended_is_not_kept() -> None:
    stream = Stream()
    Pipe(stream)
    stream.connection_lost(error := Lost())
    kept = weakref.ref(error)
    del error
    gc.disable()
    try:
        with suppress(Lost):
            await stream.more()
        assert kept() is None
    finally:
        gc.enable()


async def test_broken_records_end_the_connection(tls: Any) -> None:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket")._sock.send(b"\x17\x03\x03\x00\x20" + b"\0" * 32)
        await asyncio.sleep(1)

    async with serving(serve, tls[0]) as port, asyncio.timeout(5):
        stream = await connect(HERE, port, 1)
        await stream.start_tls(tls[1], NAME)
        with pytest.raises(ssl.SSLError):
            await until_it_ends(stream)
        stream.write(b"nothing goes out any more")
        stream.abort()


class BegunAnew:
    """TLS 1.2 in a second handshake: as long as it lasts nothing can be read or written."""

    def wrap_bio(self, incoming: ssl.MemoryBIO, *_: ssl.MemoryBIO, **_named: Any) -> "BegunAnew":
        self.incoming = incoming
        return self

    def do_handshake(self) -> None:
        """The first one."""

    def pending(self) -> int:
        return 0

    def read(self, size: int, _buffer: memoryview) -> int:
        self.incoming.read(size)
        raise ssl.SSLWantReadError

    def write(self, _data: bytes) -> int:
        raise ssl.SSLWantReadError


async def test_a_server_may_begin_tls_anew() -> None:
    context: Any = BegunAnew()
    stream = Stream()
    pipe = Pipe(stream)
    await stream.start_tls(context, NAME)
    pipe.receive(b"hello request")
    waiting = asyncio.create_task(stream.more())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


class Receiver(asyncio.Protocol):
    def __init__(self) -> None:
        self.received = b""
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


async def test_a_protocol_takes_over(tls: Any) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"one\ntwo\n")
        writer.write(b"you said: " + await reader.readline() + b"w" * 100_000)
        await writer.drain()

    async with serving(serve, tls[0]) as port, asyncio.timeout(5):
        stream = await connect(HERE, port, 1)
        await stream.start_tls(tls[1], NAME)
        assert await read_lines(stream, 1) == [b"one\n"]
        receiver = Receiver()
        stream.hand_over(receiver)
        receiver.transport.write(b"three\n")
        await receiver.lost
        stream.abort()
    assert receiver.received == b"two\nyou said: three\n" + b"w" * 100_000
