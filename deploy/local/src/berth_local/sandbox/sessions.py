"""Connections inside this process to the sandbox's mail store, signed in: what a provider's server hands its clients over to."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from berth_local.sandbox.imap import Mailboxes
from berth_local.sandbox.smtp import smtp_protocol

__all__ = ["Streams", "imap_session", "smtp_session"]

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_HOST = "store.sandbox.test"


@asynccontextmanager
async def imap_session(mailboxes: Mailboxes, address: str) -> AsyncIterator[Streams]:
    """IMAP, behind the sign-in."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    serving = asyncio.create_task(mailboxes.serve(*await asyncio.open_connection(sock=theirs)))
    try:
        await reader.readline()
        writer.write(f'A LOGIN "{mailboxes.home(address)}" "{mailboxes.password(address)}"\r\n'.encode())
        while not (line := await reader.readline()).startswith(b"A "):
            _check(line)
        yield reader, writer
    finally:
        writer.close()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


@asynccontextmanager
async def smtp_session(mailboxes: Mailboxes, address: str) -> AsyncIterator[Streams]:
    """Submission, behind the sign-in."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    loop = asyncio.get_running_loop()
    serving, _ = await loop.connect_accepted_socket(smtp_protocol(mailboxes, _HOST), theirs)
    response = base64.b64encode(f"\0{mailboxes.home(address)}\0{mailboxes.password(address)}".encode()).decode()
    try:
        await _last_line(reader)
        for command in (f"EHLO {_HOST}", f"AUTH PLAIN {response}"):
            writer.write(f"{command}\r\n".encode())
            await _last_line(reader)
        yield reader, writer
    finally:
        writer.close()
        serving.close()


async def _last_line(reader: asyncio.StreamReader) -> None:
    while (line := await reader.readline())[3:4] == b"-":
        _check(line)


def _check(line: bytes) -> None:
    if not line:
        raise ConnectionResetError("the mail store has closed the connection")
