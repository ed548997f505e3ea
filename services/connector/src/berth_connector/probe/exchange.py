"""The steps of one exchange in their order, the same for IMAP and SMTP."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar
from typing import Protocol as Interface

from berth_connector.origins import recognise
from berth_connector.probe.dial import Dialler, Limits, Security
from berth_connector.probe.login import Login
from berth_connector.probe.steplog import Protocol, StepLog
from berth_connector.probe.stream import Stream
from berth_connector.probe.tls import connection_text
from berth_connector.probe.wire import Wire
from berth_events.contracts import StepName

__all__ = ["LAST_STEPS", "OpenSession", "Session", "plan", "prove", "signed_in"]


class Session(Interface):
    """What an exchange asks of a protocol. Every method raises Fault, or what the connection raises."""

    async def greet(self) -> str:
        """Read and check the greeting; its words."""
        ...

    async def agree_on_tls(self) -> None:
        """Ask for STARTTLS, up to the server's agreement."""
        ...

    async def capabilities(self) -> str:
        """What the server offers and calls itself."""
        ...

    async def authenticate(self, login: Login) -> str:
        """Sign in, with exactly one attempt; the mechanism."""
        ...

    async def finish(self) -> str:
        """Show that the signed-in account can be used, and say good-bye."""
        ...


#: What the server offers, and what shows that the account can be used.
LAST_STEPS: Final[dict[Protocol, tuple[StepName, StepName]]] = {
    "imap": ("capabilities", "select"),
    "smtp": ("ehlo", "noop"),
}

OpenSession = Callable[[Wire], Session]
S = TypeVar("S", bound=Session)


def plan(security: Security, capability_step: StepName, last_step: StepName) -> tuple[StepName, ...]:
    """The steps in order. With STARTTLS the server greets before TLS; which it is by `auto` shows after the connection."""
    opening: tuple[StepName, ...] = ("greet", "starttls") if security == "starttls" else ("tls", "greet")
    return ("resolve", "vet", "connect", *opening, capability_step, "authenticate", last_step)


async def prove(dialler: Dialler, limits: Limits, log: StepLog, login: Login, open_session: OpenSession) -> None:
    """Run the exchange; `log` keeps what happened.

    Raises:
        Stopped: a step failed.
    """
    stream, session = await _sign_in(dialler, limits, log, login, open_session)
    try:
        # the sign-in has decided: a server that falls silent now has still proven the credential
        async with log.step(log.plan[-1], limits.reply, optional=True) as note:
            note.message = await session.finish()
    finally:
        stream.abort()


@asynccontextmanager
async def signed_in(
    dialler: Dialler, limits: Limits, log: StepLog, login: Login, open_session: Callable[[Wire], S]
) -> AsyncIterator[S]:
    """Run the steps up to the sign-in; the session, whose connection is gone behind the block.

    Raises:
        Stopped: a step failed.
    """
    stream, session = await _sign_in(dialler, limits, log, login, open_session)
    try:
        yield session
    finally:
        stream.abort()


async def _sign_in(
    dialler: Dialler, limits: Limits, log: StepLog, login: Login, open_session: Callable[[Wire], S]
) -> tuple[Stream, S]:
    *_, capability_step, authenticate, last_step = log.plan
    host = await dialler.find(log, login.server)
    stream = await dialler.connect(log, host)
    try:
        security = login.server.security
        if security == "auto":
            security = await dialler.find_security(host, log.deadline)
            log.plan = plan(security, capability_step, last_step)
        if security == "tls":
            stream = await dialler.open_tls(log, host, stream)
        wire = Wire(stream, log.said)
        session = open_session(wire)
        async with log.step("greet", limits.reply):
            log.origin = recognise(log.origin, await session.greet())
        if security == "tls":
            dialler.keep_session(host, wire.tls)
        if security == "starttls":
            async with log.step("starttls", limits.reply + limits.tls + limits.look) as note:
                await session.agree_on_tls()
                await dialler.upgrade(host, wire, lambda other: _up_to_tls(open_session(other)))
                if wire.tls is not None:
                    note.message = connection_text(wire.tls)
        async with log.step(capability_step, limits.reply) as note:
            note.message = await session.capabilities()
            log.origin = recognise(log.origin, note.message)
        async with log.step(authenticate, limits.authenticate, table_step=login.table_step) as note:
            login.check()
            note.message = f"Signed in with {await session.authenticate(login)}."
    except BaseException:
        stream.abort()
        raise
    return stream, session


async def _up_to_tls(session: Session) -> None:
    await session.greet()
    await session.agree_on_tls()
