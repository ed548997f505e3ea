"""IMAP: pymap's server with its in-memory mailboxes, opened with passwords and with access tokens."""

import asyncio
import socket
import ssl
from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from proxyprotocol.sock import SocketInfo
from pymap.backend.dict import Config, Identity, Login
from pymap.concurrent import Subsystem
from pymap.imap import IMAPServer
from pymap.parsing.message import AppendMessage
from pymap.user import UserMetadata
from pysasl import SASLAuth
from pysasl.creds.server import ServerCredentials
from pysasl.hashing import Cleartext
from pysasl.identity import Identity as SaslIdentity
from pysasl.mechanism import ChallengeResponse, ServerChallenge
from pysasl.mechanism.oauth import OAuth2Mechanism

from berth_local.sandbox.tokens import TokenBook

__all__ = ["TOKEN_REFUSED", "Mailboxes", "serve_imap"]

#: What a client is told when its token opens nothing; it acknowledges that, and is then refused.
TOKEN_REFUSED: Final = b'{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}'


class _TokenLogin(ServerCredentials):  # type: ignore[misc] # pysasl is not typed for mypy
    """Who came with a token, and whether it opens the mailbox."""

    def __init__(self, address: str, *, admitted: bool) -> None:
        self._address, self._admitted = address, admitted

    @property
    def authcid(self) -> str:
        return self._address

    @property
    def authzid(self) -> str:
        return self._address

    def verify(self, identity: SaslIdentity | None) -> bool:
        return identity is not None and self._admitted


class _XOAuth2(OAuth2Mechanism):  # type: ignore[misc]
    """XOAUTH2, which says why it refuses a token."""

    def __init__(self, mailboxes: "Mailboxes") -> None:
        super().__init__(b"XOAUTH2")
        self._mailboxes = mailboxes

    def server_attempt(self, responses: Sequence[ChallengeResponse]) -> tuple[_TokenLogin, None]:
        credentials, _ = super().server_attempt(responses[:1])
        _, _, token = bytes(responses[0].response).partition(b"\1auth=")
        admitted = self._mailboxes.admits_token(credentials.authzid, token[len(b"Bearer ") :].rstrip(b"\1").decode())
        if not admitted and len(responses) == 1:
            raise ServerChallenge(TOKEN_REFUSED)
        return _TokenLogin(credentials.authzid, admitted=admitted), None


class _Config(Config):  # type: ignore[misc] # pymap is not typed
    """pymap's settings, for one listener."""

    def __init__(
        self, host: str, context: ssl.SSLContext | None, *, starttls: bool, mailboxes: "Mailboxes | None" = None
    ) -> None:
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
        self._mailboxes = mailboxes

    @property
    def greeting(self) -> bytes:
        return self._greeting  # pymap's own asks the DNS for the machine's name, at each connection

    @property
    def tls_auth(self) -> Any:
        known = SASLAuth.defaults().server_mechanisms
        return SASLAuth([*known, _XOAuth2(self._mailboxes)] if self._mailboxes else known)


class Mailboxes:
    """The users of all hosts, with their passwords and their mail."""

    def __init__(
        self, passwords: Mapping[str, str], tokens: TokenBook, aliases: Mapping[str, str] | None = None
    ) -> None:
        """Create the mailboxes, empty.

        Args:
            passwords: by address.
            tokens: which access tokens open which mailboxes.
            aliases: domains whose mailboxes are those of another domain.
        """
        self._passwords, self._tokens, self._aliases = dict(passwords), tokens, dict(aliases or {})
        config = _Config("sandbox", None, starttls=False)
        config.apply_context()
        self.login = Login(config)
        self._server = IMAPServer(self.login, config)
        for address, password in passwords.items():
            self.login.users_dict[address] = UserMetadata(config, address, password=password)

    def __contains__(self, address: str) -> bool:
        """Is this one of the mailboxes?"""
        return self.home(address) in self._passwords

    def home(self, address: str) -> str:
        """The mailbox that has mail to an address: what stands behind a plus sign is the recipient's own (RFC 5233)."""
        name, at, domain = address.lower().rpartition("@")
        return f"{name.partition('+')[0]}{at}{self._aliases.get(domain, domain)}"

    def password(self, address: str) -> str:
        """The password of a mailbox that exists."""
        return self._passwords[self.home(address)]

    def admits(self, address: str, password: str) -> bool:
        """Is this the mailbox's password?"""
        return self._passwords.get(self.home(address)) == password

    def admits_token(self, address: str, token: str) -> bool:
        """Does the access token open this mailbox?"""
        return address in self and any(self._tokens.opens(token, one) for one in (address, self.home(address)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk IMAP on a connection inside this process, without TLS."""
        await self._server(reader, writer, SocketInfo.get(writer, None))

    async def deliver(self, address: str, message: bytes) -> None:
        """Put a message into the mailbox's INBOX."""
        identity = Identity(self.home(address), self.login, None, frozenset())
        async with identity.new_session() as session:
            await session.append_messages("INBOX", [AppendMessage(message, datetime.now(UTC))])


async def serve_imap(
    mailboxes: Mailboxes, host: str, listening: socket.socket, context: ssl.SSLContext, *, starttls: bool
) -> asyncio.Server:
    """Serve on a listening socket, with STARTTLS or with TLS from the first byte."""
    server = IMAPServer(mailboxes.login, _Config(host, context, starttls=starttls, mailboxes=mailboxes))

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server(reader, writer, SocketInfo.get(writer, None))

    return await asyncio.start_server(connected, sock=listening, ssl=None if starttls else context)
