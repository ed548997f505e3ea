"""When a delivery is tried again, and when an endpoint is left alone."""

import random
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["DISABLED_AFTER", "Schedule", "retry_after"]

#: Pauses behind the first attempt and each later one: the schedule that Standard Webhooks recommends, about three days.
_PAUSES: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
_JITTER: Final = 0.2
#: An endpoint that fails so long without a single success is disabled.
DISABLED_AFTER: Final = timedelta(days=5)
#: A single failure may be the event's; so many in a row are the endpoint's, and it gets time to recover.
_HELD_FROM: Final = 3
_HOLD_STEP: Final = timedelta(seconds=5)
_HOLD_MAX: Final = timedelta(minutes=5)
_MAX_DOUBLINGS: Final = 6
#: A receiver may ask for this much patience.
_RETRY_AFTER_MAX: Final = timedelta(hours=24)


class Schedule:
    """Pauses with jitter, so that what failed together does not come back together.

    Args:
        rng: for tests.
    """

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()  # noqa: S311 - jitter is no secret

    def pause(self, tries: int) -> timedelta | None:
        """How long to wait behind so many failed attempts; None when that was the last one."""
        return self._jittered(_PAUSES[tries - 1]) if tries <= len(_PAUSES) else None

    def hold(self, failures: int) -> timedelta | None:
        """How long to leave an endpoint alone after so many failures in a row; None: not at all."""
        if failures < _HELD_FROM:
            return None
        doubled = _HOLD_STEP * 2 ** min(failures - _HELD_FROM, _MAX_DOUBLINGS)
        return self._jittered(min(doubled, _HOLD_MAX))

    def _jittered(self, pause: timedelta) -> timedelta:
        return pause * self._rng.uniform(1 - _JITTER, 1 + _JITTER)


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """What a Retry-After header asks for (RFC 9110 §10.2.3), a day at most; None without one that can be read."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdecimal():
        seconds = float(text[:10])
    else:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    return min(timedelta(seconds=max(seconds, 0.0)), _RETRY_AFTER_MAX)
