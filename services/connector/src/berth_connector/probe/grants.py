"""Where an access token comes from, as a step of the exchange."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from berth_connector.diagnosis import Origin
from berth_connector.probe.steplog import StepLog

__all__ = ["TokenGrant", "fetch_token"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenGrant:
    """Where the access token of a sign-in comes from.

    Attributes:
        service: the identity provider, as in the table: `google` or `microsoft`.
        fetch: gets it, or raises Fault.
    """

    service: str
    fetch: Callable[[], Awaitable[str]] = field(repr=False)


async def fetch_token(log: StepLog, seconds: float, grant: TokenGrant) -> str:
    """The step token.

    Raises:
        Stopped: there is none.
    """
    log.origin = Origin(service=grant.service)
    async with log.step("token", seconds) as note:
        token = await grant.fetch()
        note.message = f"{grant.service.capitalize()} gave an access token."
    return token
