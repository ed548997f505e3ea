"""Submission: aiosmtpd's server, which delivers to the sandbox's own mailboxes, signed in to with passwords or access tokens."""

import asyncio
import base64
import binascii
import socket
import ssl
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from aiosmtpd.smtp import MISSING, SMTP, AuthResult, Envelope, LoginPassword, Session

from berth_local.sandbox.imap import TOKEN_REFUSED, Mailboxes

__all__ = ["serve_smtp", "smtp_protocol"]


class _Smtp(SMTP):  # type: ignore[misc] # aiosmtpd is not typed
    """Takes lines that are long enough for access tokens (RFC 4954, section 4)."""

    command_size_limit = 12288
    line_length_limit = 12288


class _Submission:
    """What aiosmtpd calls: nothing is accepted before authentication, nothing leaves the sandbox."""

    def __init__(self, mailboxes: Mailboxes, host: str) -> None:
        self._mailboxes, self._host = mailboxes, host

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        admitted = isinstance(data, LoginPassword) and self._mailboxes.admits(
            data.login.decode(errors="replace"), data.password.decode(errors="replace")
        )
        return AuthResult(success=admitted, handled=False)  # aiosmtpd then answers 235 or 535

    async def auth_XOAUTH2(self, server: SMTP, arguments: list[str]) -> AuthResult:  # noqa: N802 - aiosmtpd's name
        """Sign in with an access token; why it is refused is said before the refusal."""
        response: Any
        if len(arguments) > 1:
            try:
                response = base64.b64decode(arguments[1], validate=True)
            except binascii.Error:
                return AuthResult(success=False, handled=False, message="501 5.5.2 Can't decode base64")
        else:
            response = await server.challenge_auth("")
        if response is MISSING:
            return AuthResult(success=False)
        user, _, token = response.decode("utf-8", "replace").rstrip("\1").partition("\1auth=Bearer ")
        if self._mailboxes.admits_token(user.removeprefix("user="), token):
            return AuthResult(success=True)
        if await server.challenge_auth(TOKEN_REFUSED) is MISSING:
            return AuthResult(success=False)
        return AuthResult(success=False, handled=False)  # 535

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address not in self._mailboxes:
            return "550 5.1.1 The sandbox has no such mailbox, and sends nothing elsewhere"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        body = content.encode() if isinstance(content, str) else content or b""
        trace = (
            f"Return-Path: <{envelope.mail_from}>\r\nReceived: from {session.host_name} by {self._host}; {formatdate()}"
        )
        for address in envelope.rcpt_tos:
            await self._mailboxes.deliver(address, f"{trace}\r\n".encode() + body)
        return "250 2.0.0 Delivered"


async def serve_smtp(
    mailboxes: Mailboxes, host: str, listening: socket.socket, context: ssl.SSLContext, *, starttls: bool
) -> asyncio.Server:
    """Serve on a listening socket, with STARTTLS or with TLS from the first byte."""
    connected = smtp_protocol(mailboxes, host, context if starttls else None)
    return await asyncio.get_running_loop().create_server(connected, sock=listening, ssl=None if starttls else context)


def smtp_protocol(
    mailboxes: Mailboxes, host: str, starttls: ssl.SSLContext | None = None
) -> Callable[[], asyncio.Protocol]:
    """What serves one connection.

    Args:
        mailboxes: of all hosts.
        host: in the greeting.
        starttls: without it the connection has TLS already, or is inside this process.
    """
    submission = _Submission(mailboxes, host)
    loop = asyncio.get_running_loop()

    def connected() -> asyncio.Protocol:
        protocol: asyncio.Protocol = _Smtp(
            submission,
            hostname=host,
            ident="Berth sandbox",
            authenticator=submission.authenticate,
            auth_require_tls=starttls is not None,
            tls_context=starttls,
            require_starttls=starttls is not None,
            loop=loop,
        )
        return protocol

    return connected
