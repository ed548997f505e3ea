"""Tells an outage from many single failures: a mail service, or our own way to the Internet, that is away for a while.

When nearly everything that worked fails at a service, it says nothing about each mailbox. Then the accounts keep their state
(`berth_connector.lifecycle`), and there is one warning instead of ten thousand events.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from uuid import UUID

import structlog

from berth_connector import metrics

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock

__all__ = ["AWAY", "Outages"]

#: The diagnoses that mean "not reached" or "not now", or that a server shows everybody.
AWAY: Final = frozenset(
    {
        "PROVIDER_TEMPORARY",
        "DNS_NOT_FOUND",
        "DNS_LOOKUP_FAILED",
        "CONNECT_REFUSED",
        "CONNECT_TIMEOUT",
        "PORT_BLOCKED",
        "GREETING_TIMEOUT",
        "TOKEN_ENDPOINT_INVALID",
        "PROTOCOL_ERROR",
        "TLS_CERT_EXPIRED",
        "TLS_CERT_NAME",
        "TLS_CERT_UNTRUSTED",
        "TLS_MODE_MISMATCH",
        "TLS_UNAVAILABLE",
        "WRONG_PROTOCOL",
    }
)
_WINDOW_S: Final = 3600.0
#: Longer than that nothing is away for a while: then the failures are the accounts' own.
_LONGEST_S: Final = 24 * 3600.0
_LAST: Final = 20
_DIFFERENT: Final = 10
_BEGINS: Final = 0.8
_ENDS: Final = 0.5
#: Hosts are named by users: more than so many are not watched at once.
_DESTINATIONS: Final = 1000
#: The name of our own way out, in logs.
_EVERYWHERE: Final = "*"

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Watch:
    """The last results: when, and who failed, or None for any other result. `since`: when the outage was noticed."""

    results: deque[tuple[float, Hashable | None]] = field(default_factory=lambda: deque(maxlen=_LAST))
    since: float | None = None


class Outages:
    """Watches the looks of this process at accounts that worked.

    Args:
        clock: time.
    """

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock
        self._everywhere = _Watch()
        self._watched: OrderedDict[str, _Watch] = OrderedDict()

    def explains(self, destination: str, account_id: UUID, code: str | None) -> bool:
        """Note a result; True when it is put down to an outage.

        Args:
            destination: the mail service or host.
            account_id: an account that worked when it was looked at last.
            code: the diagnosis, or None when it works.
        """
        away = code in AWAY
        # each destination counts once: a large one that is away is not the whole Internet
        everywhere = self._note(_EVERYWHERE, self._everywhere, destination if away else None)
        watch = self._watched.get(destination)
        if watch is None:
            if not away:
                return False
            watch = self._watched[destination] = _Watch()
            if len(self._watched) > _DESTINATIONS:
                self._watched.popitem(last=False)
        here = self._note(destination, watch, account_id if away else None)
        if not away:
            return False
        if here or everywhere:
            metrics.OUTAGE_FAILURES.inc()
        return here or everywhere

    def _note(self, name: str, watch: _Watch, failed: Hashable | None) -> bool:
        """Whether there is an outage, this result included, that is not too long to be one."""
        now, results = self._clock.monotonic(), watch.results
        while watch.since is None and results and now - results[0][0] > _WINDOW_S:
            results.popleft()
        results.append((now, failed))
        failures = [who for _, who in results if who is not None]
        if watch.since is None:
            if len(set(failures)) < _DIFFERENT or len(failures) < _BEGINS * len(results):
                return False
            watch.since = now
            metrics.OUTAGES.inc()
            _log.warning("outage.noticed", destination=name)
        elif len(failures) < _ENDS * len(results):
            _log.info("outage.over", destination=name, seconds=round(now - watch.since))
            watch.since = None
            results.clear()
            return False
        return now - watch.since < _LONGEST_S
