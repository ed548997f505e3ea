"""The first steps, the same for IMAP and SMTP: resolve, vet, connect, TLS. And a second look where an error says too little."""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from berth_connector.origins import of_host
from berth_connector.probe.faults import Fault
from berth_connector.probe.steplog import CONNECTION_ERRORS, Protocol, StepLog
from berth_connector.probe.stream import Stream, connect
from berth_connector.probe.tls import Sessions, certificate_text, unverified_context
from berth_connector.probe.wire import Wire
from berth_events.contracts import MailServer
from berth_net import Address, HostGuard, HostNotFound, HostRefused, LookupFailed, PortRefused, VettedHost

__all__ = ["Dialler", "Limits", "Security"]

Security = Literal["tls", "starttls", "auto"]

#: The other ports that a server for the same protocol usually has.
_SIBLINGS: Final[dict[str, tuple[int, ...]]] = {"imap": (993, 143), "smtp": (587, 465)}
#: What a greeting begins with that turns us away.
_TURNED_AWAY: Final = {
    "imap": re.compile(r"\* BYE\b", re.IGNORECASE),
    "smtp": re.compile(r"[45]\d\d(?:[ -]|$)"),
}
#: OpenSSL's names for "those bytes are not TLS".
_NOT_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"})

#: Brings a plain connection to the point where TLS begins.
Negotiate = Callable[[Wire], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds that each part may take. A refused password takes servers 3 s and more, on purpose.

    Attributes:
        token: for an access token, before anything is dialled.
        total: for a whole verification; the others never exceed it.
        look: for a second connection that explains why the first one failed.
    """

    token: float = 20
    resolve: float = 6
    connect: float = 8
    tls: float = 8
    reply: float = 10
    authenticate: float = 20
    look: float = 3
    total: float = 30


class Dialler:
    """Opens connections to vetted addresses.

    Args:
        guard: decides which hosts and ports are allowed.
        tls: the context of every connection.
        limits: seconds.
    """

    def __init__(self, guard: HostGuard, tls: ssl.SSLContext, limits: Limits) -> None:
        self._guard, self._tls, self._limits = guard, tls, limits
        self._unverified = unverified_context()
        self._sessions = Sessions()

    async def find(self, log: StepLog, server: MailServer) -> VettedHost:
        """The steps resolve and vet."""
        async with log.step("resolve", self._limits.resolve) as note:
            log.origin = of_host(server.host)
            name, addresses = await self._resolve(server.host)
            note.message = f"{len(addresses)} addresses" if len(addresses) > 1 else "1 address"
        async with log.step("vet", self._limits.resolve):
            try:
                self._guard.check_port(server.port)
                self._guard.check_addresses(name, addresses)
            except PortRefused as error:
                raise Fault.found("PORT_REFUSED", str(error)) from error
            except HostRefused as error:
                raise Fault.found("HOST_REFUSED", str(error)) from error
        return VettedHost(name, server.port, addresses)

    async def connect(self, log: StepLog, host: VettedHost) -> Stream:
        """The step connect."""
        async with log.step("connect", self._limits.connect + self._limits.look):
            try:
                return await connect(host.addresses, host.port, self._limits.connect)
            except TimeoutError as error:
                siblings = [port for port in _SIBLINGS[log.protocol] if port != host.port]
                open_port = await self._answering_port(host.addresses[0], siblings)
                if open_port is None:
                    raise
                message = f"No answer on port {host.port}, although port {open_port} answers."
                raise Fault.transport("timed out", message, "OTHER_PORT_OPEN") from error

    async def find_security(self, host: VettedHost, deadline: float) -> Literal["tls", "starttls"]:
        """How TLS begins on a port whose number does not tell. A server that speaks first in plain text wants STARTTLS.

        Asked on a connection of its own, on which nothing but a handshake is sent; when that tells nothing it is `tls`, whose
        step then says what is wrong.

        Args:
            host: vetted.
            deadline: the event loop's time at which the whole exchange has to be over.
        """
        try:
            async with asyncio.timeout_at(min(asyncio.get_running_loop().time() + self._limits.look, deadline)):
                stream = await connect(host.addresses, host.port, self._limits.look)
                try:
                    await stream.start_tls(self._unverified, host.host)
                finally:
                    stream.abort()
        except ssl.SSLError as error:
            return "starttls" if error.reason in _NOT_TLS else "tls"
        except CONNECTION_ERRORS:
            return "tls"
        return "tls"

    async def open_tls(self, log: StepLog, host: VettedHost, stream: Stream) -> Stream:
        """The step tls, from the first byte. The stream may become another one; on failure it is aborted."""
        try:
            async with log.step("tls", self._limits.tls + self._limits.look) as note:
                try:
                    async with asyncio.timeout(self._limits.tls):
                        stream = await self._begin_tls(host, stream)
                except ssl.SSLError as error:
                    raise await self._explain(log.protocol, host, error) from error
                if stream.tls is not None:
                    note.message = self._sessions.text(host.host, host.port, stream.tls)
        except BaseException:
            stream.abort()
            raise
        return stream

    def keep_session(self, host: VettedHost, tls: ssl.SSLObject | None) -> None:
        """Once the server has spoken: let the next connection to the host resume the TLS session, if there is none to resume."""
        now = asyncio.get_running_loop().time()
        if tls is not None and self._sessions.find(host.host, host.port, now) is None:
            self._sessions.keep(host.host, host.port, now, tls)

    async def upgrade(self, host: VettedHost, wire: Wire, negotiate: Negotiate) -> None:
        """Begin TLS on a wire whose server agreed to it; `negotiate` leads a second connection to the same point."""
        try:
            async with asyncio.timeout(self._limits.tls):
                await wire.upgrade(self._tls, host.host)
        except ssl.SSLCertVerificationError as error:
            raise await self._explain_certificate(host, error, negotiate) from error

    async def _begin_tls(self, host: VettedHost, stream: Stream) -> Stream:
        """TLS with a session to resume if there is one. When that fails it is begun anew, so that it never is the reason."""
        session = self._sessions.find(host.host, host.port, asyncio.get_running_loop().time())
        try:
            try:
                await stream.start_tls(self._tls, host.host, session)
            except (OSError, EOFError):
                if session is None:
                    raise
                self._sessions.forget(host.host, host.port)
                stream.abort()
                stream = await connect(host.addresses, host.port, self._limits.connect)
                await stream.start_tls(self._tls, host.host)
        except BaseException:
            stream.abort()
            raise
        return stream

    async def _resolve(self, host: str) -> tuple[str, tuple[Address, ...]]:
        try:
            name = self._guard.check_name(host)
            return name, await self._guard.resolve(name)
        except HostRefused as error:
            raise Fault.found("HOST_REFUSED", str(error)) from error
        except HostNotFound as error:
            raise Fault.transport("name or service not known", str(error)) from error
        except LookupFailed as error:
            raise Fault.transport("temporary failure in name resolution", str(error)) from error

    async def _answering_port(self, address: Address, ports: Sequence[int]) -> int | None:
        """A port that accepts a connection, looked for on all at once."""

        async def answers(port: int) -> int | None:
            try:
                stream = await connect([address], port, self._limits.look)
            except OSError:
                return None
            stream.abort()
            return port

        found = await asyncio.gather(*map(answers, ports))
        return next((port for port in found if port), None)

    async def _explain(self, protocol: Protocol, host: VettedHost, error: ssl.SSLError) -> Fault:
        if isinstance(error, ssl.SSLCertVerificationError):
            return await self._explain_certificate(host, error, None)
        if error.reason not in _NOT_TLS:
            return Fault.transport(str(error), "TLS could not be established.")
        words = await self._first_words(host)
        if _TURNED_AWAY[protocol].match(words):  # Exim does so at its limit, also on the TLS port
            return Fault.refused(protocol, "The server turned us away before TLS.", words, table_step="greeting")
        plain = words.startswith(("* OK", "220"))
        message = (
            "The server speaks plain text on this port: use STARTTLS." if plain else "The server does not speak TLS."
        )
        return Fault.transport("wrong version number", message)

    async def _explain_certificate(
        self, host: VettedHost, error: ssl.SSLCertVerificationError, negotiate: Negotiate | None
    ) -> Fault:
        """What the refused certificate says of itself, read from a second connection on which nothing else is sent."""
        message = f"The server's certificate was refused: {error.verify_message}."
        try:
            async with asyncio.timeout(self._limits.look):
                if certificate := await self._refused_certificate(host, negotiate):
                    message = f"{message} {certificate_text(certificate)}"
        except (*CONNECTION_ERRORS, Fault, ValueError):
            pass  # the refusal itself is known
        return Fault.transport(str(error), message)

    async def _refused_certificate(self, host: VettedHost, negotiate: Negotiate | None) -> bytes | None:
        stream = await connect(host.addresses, host.port, self._limits.look)
        try:
            if negotiate is None:
                await stream.start_tls(self._unverified, host.host)
            else:
                wire = Wire(stream, _silent)
                await negotiate(wire)
                await wire.upgrade(self._unverified, host.host)
            return stream.tls.getpeercert(binary_form=True) if stream.tls else None
        finally:
            stream.abort()

    async def _first_words(self, host: VettedHost) -> str:
        """The first line that the server says in plain text; empty when it says none in time."""
        try:
            async with asyncio.timeout(self._limits.look):
                stream = await connect(host.addresses, host.port, self._limits.look)
                try:
                    return await Wire(stream, _silent).read_line()
                finally:
                    stream.abort()
        except (*CONNECTION_ERRORS, Fault):
            return ""


def _silent(_who: str, _text: str) -> None:
    """Keep nothing: what a second look reads is no part of the exchange."""
