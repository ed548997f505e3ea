"""When a failed verification is tried again: a retry policy and the number of attempts -> the time until the next one."""

from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Final

__all__ = ["POLICIES", "Policy", "is_final", "next_attempt", "recheck_after"]

_SECOND, _MINUTE, _HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
_DAY: Final = timedelta(days=1)
#: Waits are lengthened by up to this part of themselves, so that what failed together is not tried again together.
_JITTER: Final = 0.2


@dataclass(frozen=True, slots=True)
class Policy:
    """A growing wait.

    Attributes:
        first: the wait after the first attempt.
        factor: what each wait is multiplied by.
        longest: no wait grows beyond it.
        retries: how many times, at most; None means for ever.
        transient: the fault may pass by itself, so that it does not say that a mailbox no longer works.
    """

    first: timedelta
    factor: float
    longest: timedelta
    retries: int | None
    transient: bool = False

    def wait(self, attempts: int) -> timedelta | None:
        """The wait after so many failed attempts (1 or more); None when it was the last one."""
        if self.retries is not None and attempts > self.retries:
            return None
        growth = self.factor ** min(attempts - 1, 16)  # by then every wait has reached its longest
        return min(self.longest, self.first * growth)


#: Waits of providers come from their threads and help texts, not from a specification: these are defaults with a margin.
POLICIES: Final[dict[str, Policy | None]] = {
    "never": None,
    "never_pause_workspace": None,
    "recheck_daily": Policy(_DAY, 1, _DAY, None),
    "recheck_slow": Policy(4 * _HOUR, 2, _DAY, None),
    "recheck_growing": Policy(5 * _MINUTE, 2, _HOUR, 48),
    "backoff_24h": Policy(5 * _MINUTE, 2, 4 * _HOUR, 10),
    "once_fresh_token": Policy(_SECOND, 1, _SECOND, 1, transient=True),
    "honour_hint": Policy(15 * _MINUTE, 2, 6 * _HOUR, 8, transient=True),
    "wait_hours": Policy(6 * _HOUR, 2, _DAY, 6, transient=True),
    "exponential": Policy(_MINUTE, 3, 2 * _HOUR, 8, transient=True),
    "bounded": Policy(2 * _MINUTE, 5, _HOUR, 3, transient=True),
    "immediate_with_id": Policy(_SECOND, 1, _SECOND, 1, transient=True),
}


def is_final(policy: str | None) -> bool:
    """Whether an account is not looked at unasked: its credential was refused. A workspace's may have been replaced since."""
    return policy is not None and policy != "never_pause_workspace" and POLICIES[policy] is None


def next_attempt(policy: str, attempts: int, hint: timedelta | None, random: Random) -> timedelta | None:
    """The time until the next attempt.

    Args:
        policy: the diagnosis's retry policy.
        attempts: how many have failed in a row with this policy, the one just made included.
        hint: the wait that the server asked for; the wait is never shorter.
        random: for the jitter, which only lengthens.

    Returns:
        None when there is to be no further attempt.
    """
    chosen = POLICIES[policy]
    wait = chosen.wait(attempts) if chosen else None
    if wait is None:
        return None
    return max(wait, hint or wait) * (1 + _JITTER * random.random())


def recheck_after(interval: timedelta, random: Random) -> timedelta:
    """The time until a mailbox that works is looked at again: the interval, more or less a tenth."""
    return interval * random.uniform(0.9, 1.1)
