"""What a verification's result means for an account: which event, which state, and when to look again."""

from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Final, Literal

from berth_connector.policies import POLICIES, next_attempt, recheck_after
from berth_events.contracts import (
    AccountChecked,
    AccountConnected,
    AccountConnectionFailed,
    AccountDisconnected,
    AccountReconnected,
    Diagnosis,
    VerificationEvent,
)

__all__ = ["OUTAGE_LOOK", "SERVER_FAULTS", "Decision", "Standing", "State", "decide"]

#: While there is an outage, an account is looked at again after once or twice as long.
OUTAGE_LOOK: Final = timedelta(minutes=15)

#: Diagnoses that whoever connects a mailbox has to mend first, so that they are not tried again. Where a mailbox has worked,
#: they are faults of its server, such as a certificate that has ended: no credential was refused, and it may work again.
SERVER_FAULTS: Final = frozenset(
    {
        "CAPABILITY_MISSING",
        "HOST_REFUSED",
        "MECHANISM_UNSUPPORTED",
        "PROTOCOL_ERROR",
        "TLS_CERT_EXPIRED",
        "TLS_CERT_NAME",
        "TLS_CERT_UNTRUSTED",
        "TLS_MODE_MISMATCH",
        "TLS_REQUIRED",
        "TLS_UNAVAILABLE",
        "WRONG_PROTOCOL",
    }
)
#: The policy of such a fault then.
_PASSING: Final = "bounded"
#: The first look after a change comes between these parts of the interval, so that what came together is spread over all of it.
_SPREAD: Final = (0.1, 1.1)

State = Literal["unknown", "connected", "disconnected", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where an account stands.

    Attributes:
        state: what was said of it last.
        retry_policy: of the last failure; None after a success.
        failures: how many in a row had that policy.
    """

    state: State = "unknown"
    retry_policy: str | None = None
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to say, where the account stands now, and the time until the next look; None is never."""

    event: type[VerificationEvent]
    standing: Standing
    next_look: timedelta | None


def decide(
    standing: Standing,
    failure: Diagnosis | None,
    hint: timedelta | None,
    *,
    asked_for: bool,
    recheck: timedelta,
    random: Random,
    outage: bool = False,
) -> Decision:
    """Decide by the result of one verification.

    Args:
        standing: where the account stood before.
        failure: why it failed, or None: it works.
        hint: how long the server asked us to wait, or None.
        asked_for: somebody waits for the result; else it was a look of our own.
        recheck: how often a mailbox that works is looked at.
        random: for the jitter.
        outage: the failure is put down to an outage of the mail service, or of our way to it (`berth_connector.outages`).
    """
    if failure is not None and outage and not asked_for and standing.state == "connected":
        # no attempt is counted, so that an outage does not use them up
        wait = max(OUTAGE_LOOK, hint or OUTAGE_LOOK) * (1 + random.random())
        return Decision(event=AccountChecked, standing=standing, next_look=wait)
    if failure is None:
        return Decision(
            event=_works(standing.state),
            standing=Standing(state="connected"),
            next_look=recheck_after(recheck, random)
            if standing.state == "connected"
            else recheck * random.uniform(*_SPREAD),
        )
    worked = standing.state in {"connected", "disconnected"}
    policy = _PASSING if worked and failure.code in SERVER_FAULTS else failure.retry_policy
    # of an account that is still called connected all attempts count, or faults that take turns would never settle
    alike = standing.retry_policy == policy or (standing.state == "connected" and standing.retry_policy is not None)
    repeated = not asked_for and alike
    failures = standing.failures + 1 if repeated else 1
    next_look = next_attempt(policy, failures, hint, random)
    event, state = _fails(standing.state, asked_for=asked_for, grace=next_look is not None and _is_transient(policy))
    if next_look is None and state == "disconnected" and POLICIES[policy] is not None:
        next_look = recheck_after(recheck, random)  # it worked once, and was not refused: it may work again
    return Decision(
        event=event, standing=Standing(state=state, retry_policy=policy, failures=failures), next_look=next_look
    )


def _works(state: State) -> type[VerificationEvent]:
    if state == "connected":
        return AccountChecked
    return AccountReconnected if state == "disconnected" else AccountConnected


def _fails(state: State, *, asked_for: bool, grace: bool) -> tuple[type[VerificationEvent], State]:
    """A mailbox that works is not called disconnected for a fault that may pass, unless somebody asks."""
    if state in {"unknown", "failed"}:
        return (AccountConnectionFailed if asked_for or state == "unknown" else AccountChecked), "failed"
    if state == "connected" and grace and not asked_for:
        return AccountChecked, "connected"
    return (AccountDisconnected if asked_for or state == "connected" else AccountChecked), "disconnected"


def _is_transient(policy: str) -> bool:
    chosen = POLICIES[policy]
    return chosen is not None and chosen.transient
