"""A provider's server: it greets, offers and refuses in the provider's words; whom it lets in it hands over to the mail store."""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Final

from berth_local.sandbox.imap import Mailboxes
from berth_local.sandbox.providers.mailboxes import Casting, Line, Played, Protocol
from berth_local.sandbox.providers.rows import COMMANDS, LAST_WORDS
from berth_local.sandbox.providers.scripts import START_TLS, Answer
from berth_local.sandbox.providers.sign_in import Ask, SignIn, imap_sign_in, smtp_sign_in
from berth_local.sandbox.providers.speakers import PROVIDERS
from berth_local.sandbox.sessions import Streams, imap_session, smtp_session

__all__ = ["ProviderServer"]

#: For everything up to the sign-in.
_SIGN_IN_SECONDS: Final = 120
#: For what comes behind it.
_SESSION_SECONDS: Final = 3600
_LINE_BYTES: Final = 1 << 20
#: The sign-in whose acceptance stands in the scripts.
_ANY_SIGN_IN: Final = {"imap": "A AUTHENTICATE PLAIN AA==", "smtp": "AUTH PLAIN AA=="}
_REFUSAL: Final = re.compile(rb"TAG (NO|BAD) |\* BYE|[45]\d\d[ -]")
_GOOD_BYE: Final = (b"* BYE", b"421")
_CHALLENGE: Final = (b"+ ", b"334 ")
#: To somebody who has no mailbox here, and may have meant to reach the provider.
_NOT_HERE: Final = "* NO This is the sandbox of Berth, not {provider}: it has no mailbox {address}\r\n"


@dataclass(frozen=True, slots=True)
class _Dialect:
    command: int  # which of a line's words it is; IMAP's first one is the tag
    sign_in: Callable[[bytes, Ask], Awaitable[SignIn | None]]
    session: Callable[[Mailboxes, str], AbstractAsyncContextManager[Streams]]


_DIALECTS: Final = {
    "imap": _Dialect(1, imap_sign_in, imap_session),
    "smtp": _Dialect(0, smtp_sign_in, smtp_session),
}


class ProviderServer:
    """One protocol of one provider.

    Args:
        provider: who speaks, by its name in the table of diagnoses.
        protocol: `imap` or `smtp`.
        casting: what is said to whom.
        mailboxes: the mail store, and who may open what.
        context: has the certificate for the provider's hosts.
    """

    def __init__(
        self, provider: str, protocol: Protocol, casting: Casting, mailboxes: Mailboxes, context: ssl.SSLContext
    ) -> None:
        self.provider, self.protocol, self.casting, self.mailboxes = provider, protocol, casting, mailboxes
        self.context = context
        speaker = PROVIDERS[provider]
        self.script = speaker.imap if protocol == "imap" else speaker.smtp
        self.dialect = _DIALECTS[protocol]
        self._talks: set[asyncio.Task[None]] = set()

    async def listen(self, listening: socket.socket, *, starttls: bool) -> asyncio.Server:
        """Serve on a listening socket, with STARTTLS or with TLS from the first byte."""
        return await asyncio.start_server(
            self._connected, sock=listening, limit=_LINE_BYTES, ssl=None if starttls else self.context
        )

    async def close(self) -> None:
        """End what is being talked about."""
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(_Talk(self, reader, writer).run())
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)
        with suppress(asyncio.CancelledError):
            await task


class _Talk:
    """One connection.

    Args:
        server: whose it is.
        reader: of the client.
        writer: to the client.
    """

    def __init__(self, server: ProviderServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server, self._reader, self._writer = server, reader, writer
        self._script = server.script
        self._tag = b""
        self._instead: dict[bytes, bytes] = {}

    async def run(self) -> None:
        """Talk until either side has enough."""
        try:
            with suppress(ConnectionError, ssl.SSLError, TimeoutError, ValueError):  # ValueError: a line has no end
                async with asyncio.timeout(_SIGN_IN_SECONDS):
                    address = await self._up_to_sign_in()
                if address is not None:
                    async with asyncio.timeout(_SESSION_SECONDS):
                        await self._hand_over(address)
        finally:
            self._writer.close()

    async def _up_to_sign_in(self) -> str | None:
        """The mailbox that the client is let into; None: it has gone, or was sent away."""
        await self._say(self._script.greeting)
        while raw := await self._reader.readline():
            line = raw.rstrip(b"\r\n")
            self._tag = line.partition(b" ")[0]
            signing_in = await self._server.dialect.sign_in(line, self._ask)
            if signing_in is None:
                await self._answer(line)
            elif (refused := self._judge(signing_in)) is None:
                return self._address(signing_in.user)
            elif not await self._refuse(refused, signing_in):
                return None
        return None

    def _address(self, user: str) -> str:
        return self._server.mailboxes.home(self._with_domain(user))

    def _is_here(self, address: str) -> bool:
        server = self._server
        return address in server.mailboxes and server.casting.service(server.provider, address) is not None

    def _with_domain(self, user: str) -> str:
        return user if "@" in user else f"{user}@{self._server.casting.home(self._server.provider)}"

    def _judge(self, signing_in: SignIn) -> Line | None:
        """What the client is told instead of being let in; None: it is. What it is told later is put into the script."""
        server, by_token = self._server, signing_in.by_token
        played = server.casting.mailboxes[server.provider].get(self._address(signing_in.user).partition("@")[0])
        if not self._admits(signing_in, played):
            return server.casting.refusal(server.provider, server.protocol, by_token=by_token)
        line = played.line(server.protocol, by_token=by_token) if played else None
        if line is None or line.step in ("auth_password", "auth_oauth"):
            return line
        self._script = self._script.but((COMMANDS[server.protocol][line.step], line.words))
        return None

    def _admits(self, signing_in: SignIn, played: Played | None) -> bool:
        mailboxes = self._server.mailboxes
        service = self._server.casting.service(self._server.provider, self._address(signing_in.user))
        if service is None:
            return False
        user = self._with_domain(signing_in.user)
        if signing_in.by_token:
            return mailboxes.admits_token(user, signing_in.secret)
        # where no password is good any more, those of mailboxes that are told something else are, so that this shows
        told = played is not None and any(played.line(protocol, by_token=False) for protocol in _DIALECTS)
        return (service.takes_passwords or told) and mailboxes.admits(user, signing_in.secret)

    async def _refuse(self, refused: Line, signing_in: SignIn) -> bool:
        """Say the words; whether the connection goes on."""
        server, words = self._server, refused.words
        address = self._address(signing_in.user)
        if words.startswith(_CHALLENGE):
            await self._ask(words)  # for an acknowledgement, behind which comes a refusal that says nothing
            words = LAST_WORDS[server.protocol]
        elif server.protocol == "imap" and not self._is_here(address):
            # beside the refusal; in SMTP it would be a part of it, and change what is made of it
            hint = _NOT_HERE.format(provider=server.casting.names[server.provider], address=" ".join(address.split()))
            words = hint.encode("ascii", "replace") + words
        await self._say(words)
        return not words.startswith(_GOOD_BYE)

    async def _hand_over(self, address: str) -> None:
        server = self._server
        async with server.dialect.session(server.mailboxes, address) as (reader, writer):
            await self._say(server.script.answer_to(_ANY_SIGN_IN[server.protocol]))
            ways = [asyncio.ensure_future(way) for way in (self._from_store(reader), self._to_store(writer))]
            try:
                ended, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ended:
                    way.result()
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)

    async def _from_store(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            tag = line.partition(b" ")[0]
            refusal = self._instead.pop(tag, None)
            self._writer.write(line if refusal is None else refusal.replace(b"TAG", tag))
            await self._writer.drain()

    async def _to_store(self, writer: asyncio.StreamWriter) -> None:
        """Pass on what the provider does not refuse."""
        while line := await self._reader.readline():
            text = line.rstrip(b"\r\n")
            answer = self._script.answer_to(self._as_scripted(text))
            self._script = self._script.behind(self._as_scripted(text))
            if not isinstance(answer, bytes) or not _REFUSAL.match(answer):
                writer.write(line)
            elif self._server.protocol == "imap":
                # the refusal waits for its turn behind answers that the store still owes
                tag = text.partition(b" ")[0]
                self._instead[tag] = answer
                writer.write(tag + b" NOOP\r\n")
            else:
                await self._say(answer)
            await writer.drain()

    async def _ask(self, prompt: bytes) -> bytes:
        await self._say(prompt)
        return (await self._reader.readline()).rstrip(b"\r\n")

    async def _answer(self, line: bytes) -> None:
        text = self._as_scripted(line)
        answer, self._script = self._script.answer_to(text), self._script.behind(text)
        await self._say(answer)

    def _as_scripted(self, line: bytes) -> str:
        """The line with its command in capitals, as the scripts have it; clients may write it as they like."""
        words = line.decode("utf-8", "replace").split(" ")
        place = self._server.dialect.command
        words[place : place + 1] = [word.upper() for word in words[place : place + 1]]
        return " ".join(words)

    async def _say(self, answer: Answer) -> None:
        words, action = answer if isinstance(answer, tuple) else (answer, None)
        if isinstance(words, bytes):
            self._writer.write(words.replace(b"TAG", self._tag))
            await self._writer.drain()
        if action is START_TLS:
            await self._writer.start_tls(self._server.context)
