"""Google's and Microsoft's token endpoints on loopback, over TLS, with faults to choose from.

with token_service(ca_file_directory) as service:
    account = service.google.new_account("berth")
    service.google.users.add("ada@acme.example")
    service.google.delegate("acme.example", account, MAIL_SCOPE)
    ...                                       # BERTH_GOOGLE_TOKEN_URL=service.google_url and so on
    service.identity.fault = busy()
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import create_server
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from threading import Event, Thread

import trustme
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from berth_local.sandbox.google import MAIL_SCOPE, Google, ServiceAccount, new_private_key
from berth_local.sandbox.identity import IdentityService, serve_identity
from berth_local.sandbox.microsoft import Application, Microsoft, Tenant

__all__ = [
    "Fault",
    "ServiceClock",
    "TokenService",
    "answers",
    "busy",
    "garbage",
    "redirect",
    "silent",
    "throttled",
    "token_service",
]

HOST = "localhost"
Fault = Callable[[Request], Awaitable[Response | None]]


@dataclass(slots=True)
class ServiceClock:
    """The service's clock: the machine's, and so many seconds before or behind it."""

    ahead: float = 0

    def __call__(self) -> float:
        """Seconds since 1970."""
        return time.time() + self.ahead


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenService:
    """A running service.

    Attributes:
        identity: what it answers with; `identity.asked` counts, `identity.fault` makes it fail.
        ca_file: the authority of its certificate.
        port: HTTPS.
        introspection_port: HTTP, for mail servers.
        clock: its time.
        keys: what service accounts get in turn: making one for each would take a tenth of a second.
    """

    identity: IdentityService
    ca_file: Path
    port: int
    introspection_port: int
    clock: ServiceClock = field(default_factory=ServiceClock)
    keys: tuple[RSAPrivateKey, ...] = field(default_factory=lambda: (new_private_key(), new_private_key()), repr=False)

    @property
    def google(self) -> Google:
        """Google's side."""
        return self.identity.google

    @property
    def microsoft(self) -> Microsoft:
        """Microsoft's side."""
        return self.identity.microsoft

    @property
    def google_url(self) -> str:
        """BERTH_GOOGLE_TOKEN_URL."""
        return f"https://{HOST}:{self.port}/token"

    @property
    def authority(self) -> str:
        """BERTH_MICROSOFT_AUTHORITY."""
        return f"https://{HOST}:{self.port}"

    def reset(self) -> None:
        """Answer as it should be, in time, and count anew."""
        self.identity.fault, self.clock.ahead = None, 0
        self.identity.asked.clear()

    def google_workspace(self, *mailboxes: str, scopes: tuple[str, ...] = (MAIL_SCOPE,)) -> tuple[ServiceAccount, str]:
        """A new service account that is delegated the scopes for the domains of the mailboxes, and its key file."""
        account = self.google.new_account(f"berth-{len(self.google.accounts)}")
        for mailbox in mailboxes:
            self.google.users.add(mailbox)
            self.google.delegate(mailbox.rpartition("@")[2], account, *scopes)
        return account, account.new_key(self.keys[len(self.google.accounts) % len(self.keys)])

    def microsoft_workspace(
        self, *mailboxes: str, secret: str = "s3cr~t.Value-of-the-App"
    ) -> tuple[Tenant, Application]:
        """A new tenant with an application that may open the mailboxes."""
        tenant = self.microsoft.new_tenant()
        application = tenant.register()
        application.secrets[secret] = float("inf")
        application.mailboxes.update(mailboxes)
        return tenant, application


@contextmanager
def token_service(
    directory: Path, *, authority: trustme.CA | None = None, tokens: Path | None = None
) -> Iterator[TokenService]:
    """Serve in a thread of its own.

    Args:
        directory: where its authority's certificate goes.
        authority: issues the certificate; default: a new one.
        tokens: see `berth_local.sandbox.tokens.TokenBook`.
    """
    authority = authority or trustme.CA(key_type=trustme.KeyType.ECDSA)
    ca_file = directory / "identity-ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    context = SSLContext(PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST, key_type=trustme.KeyType.ECDSA).configure_cert(context)
    clock = ServiceClock()
    identity = IdentityService(clock, tokens)
    listening, plain = create_server(("127.0.0.1", 0)), create_server(("127.0.0.1", 0))
    for one in (listening, plain):
        one.setblocking(False)
    stop = Event()

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(serve_identity(identity, listening, context))
            await stack.enter_async_context(serve_identity(identity, plain, None))
            await asyncio.to_thread(stop.wait)

    thread = Thread(target=lambda: asyncio.run(serve()), name="token service")
    thread.start()
    try:
        yield TokenService(
            identity=identity,
            ca_file=ca_file,
            port=listening.getsockname()[1],
            introspection_port=plain.getsockname()[1],
            clock=clock,
        )
    finally:
        stop.set()
        thread.join()


def answers(response: Response) -> Fault:
    """The same answer to everything."""

    async def fault(_request: Request) -> Response:
        return response

    return fault


def busy() -> Fault:
    """503."""
    return answers(PlainTextResponse("Service Unavailable", 503))


def throttled(seconds: int) -> Fault:
    """429, with the time to wait."""
    return answers(JSONResponse({"error": "rate_limited"}, 429, {"Retry-After": str(seconds)}))


def garbage() -> Fault:
    """What no identity provider says."""
    return answers(PlainTextResponse("<html>db_password=hunter2</html>"))


def redirect(url: str) -> Fault:
    """Somewhere else."""
    return answers(RedirectResponse(url, 302))


def silent(seconds: float) -> Fault:
    """No answer for so long."""

    async def fault(_request: Request) -> None:
        await asyncio.sleep(seconds)

    return fault
