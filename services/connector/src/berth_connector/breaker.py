"""Notices when a mail service turns us away, so that nothing more is sent to it for a while; and what counts as a refusal.

A mail service that says "too many" counts by our address, and bans it when it is not heard. One mailbox that is at a limit of its
own says nothing about the service: only when most of the last results are such, from several accounts, the breaker trips.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from berth_connector.outages import AWAY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from berth_events.contracts import Step
    from berth_events.runtime.clock import Clock

__all__ = ["PAUSE", "THROTTLED", "Breaker", "refused"]

#: The diagnoses that mean "too many", or "not from your address".
THROTTLED: Final = frozenset({"RATE_LIMITED", "CONNECTION_LIMIT", "TOO_MANY_AUTH", "ADDRESS_BLOCKED"})
#: Failures of the sign-in that no server holds against us: nothing was tried, or it was not the credential.
_NOT_HELD: Final = (
    THROTTLED | AWAY | {"MECHANISM_UNSUPPORTED", "CAPABILITY_MISSING", "TLS_REQUIRED", "CLIENT_ID_REQUIRED"}
)
#: How long nothing is sent, unless the server asks for more.
PAUSE: Final = timedelta(minutes=5)

_WINDOW_S: Final = 600.0
_LAST: Final = 20
_ACCOUNTS: Final = 5
_SHARE: Final = 0.5
#: Hosts are named by users: more than so many are not watched at once.
_DESTINATIONS: Final = 1000


@dataclass(slots=True)
class _Watch:
    """The last results of a destination since it first said "too many"; None is any other result."""

    since: float
    results: deque[UUID | None] = field(default_factory=lambda: deque(maxlen=_LAST))


class Breaker:
    """Watches the results of this process.

    Args:
        clock: time.
    """

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock
        self._watched: OrderedDict[str, _Watch] = OrderedDict()

    def trips(self, destination: str, account_id: UUID, code: str | None) -> bool:
        """Note a result; True when the destination has to be left alone from now on.

        Args:
            destination: the mail service or host.
            account_id: whose result.
            code: the diagnosis, or None when it works.
        """
        throttled = code in THROTTLED
        watch = self._watched.get(destination)
        if watch is not None and self._clock.monotonic() - watch.since > _WINDOW_S:
            del self._watched[destination]
            watch = None
        if watch is None:
            if not throttled:
                return False
            watch = self._watched[destination] = _Watch(self._clock.monotonic())
            if len(self._watched) > _DESTINATIONS:
                self._watched.popitem(last=False)
        watch.results.append(account_id if throttled else None)
        turned_away = [account for account in watch.results if account]
        if len(set(turned_away)) < _ACCOUNTS or len(turned_away) < _SHARE * len(watch.results):
            return False
        del self._watched[destination]
        return True


def refused(steps: "Iterable[Step]") -> bool | None:
    """Whether a server has refused the sign-in, as those count that ban addresses; None: nobody signed in.

    A run counts once, though both of its servers refuse: fail2ban keeps a count for each of them, cPHulk counts a password once.
    """
    tried = [step for step in steps if step.name == "authenticate" and step.outcome != "skipped"]
    if any(step.outcome == "failed" and not (step.diagnosis and step.diagnosis.code in _NOT_HELD) for step in tried):
        return True
    return False if any(step.outcome == "ok" for step in tried) else None
