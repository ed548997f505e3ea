"""IMAP: pymap's server with its in-memory mailboxes."""

import asyncio
import socket
import ssl
from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime

from proxyprotocol.sock import SocketInfo
from pymap.backend.dict import Config, Identity, Login
from pymap.concurrent import Subsystem
from pymap.imap import IMAPServer
from pymap.parsing.message import AppendMessage
from pymap.user import UserMetadata
from pysasl.hashing import Cleartext

__all__ = ["Mailboxes", "serve_imap"]


class _Config(Config):  # type: ignore[misc] # pymap is not typed
    """pymap's settings, for one listener."""

    def __init__(self, host: str, context: ssl.SSLContext | None, *, starttls: bool) -> None:
        super().__init__(
            Namespace(proxy_protocol=None, passlib_cfg=None),
            host=None,
            port=0,
            demo_data=False,
            demo_user="",
            demo_password="",
            ssl_context=context or ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
            tls_enabled=starttls,
            hash_context=Cleartext(),  # generated passwords of a sandbox, which are written down anyway
            cpu_subsystem=Subsystem.for_asyncio(),
        )
        self._greeting = f"{host} ready".encode()

    @property
    def greeting(self) -> bytes:
        return self._greeting  # pymap's own asks the DNS for the machine's name, at each connection


class Mailboxes:
    """The users of all hosts, with their passwords and their mail."""

    def __init__(self, passwords: Mapping[str, str]) -> None:
        """Create the mailboxes, empty.

        Args:
            passwords: by address.
        """
        self._passwords = dict(passwords)
        config = _Config("sandbox", None, starttls=False)
        config.apply_context()
        self.login = Login(config)
        for address, password in passwords.items():
            self.login.users_dict[address] = UserMetadata(config, address, password=password)

    def __contains__(self, address: str) -> bool:
        """Is this one of the mailboxes?"""
        return address.lower() in self._passwords

    def admits(self, address: str, password: str) -> bool:
        """Is this the mailbox's password?"""
        return self._passwords.get(address) == password

    async def deliver(self, address: str, message: bytes) -> None:
        """Put a message into the mailbox's INBOX."""
        identity = Identity(address.lower(), self.login, None, frozenset())
        async with identity.new_session() as session:
            await session.append_messages("INBOX", [AppendMessage(message, datetime.now(UTC))])


async def serve_imap(
    mailboxes: Mailboxes, host: str, listening: socket.socket, context: ssl.SSLContext, *, starttls: bool
) -> asyncio.Server:
    """Serve on a listening socket, with STARTTLS or with TLS from the first byte."""
    server = IMAPServer(mailboxes.login, _Config(host, context, starttls=starttls))

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server(reader, writer, SocketInfo.get(writer, None))

    return await asyncio.start_server(connected, sock=listening, ssl=None if starttls else context)
