"""The registration of the domain, as the registry tells it (RDAP, RFC 9083)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from berth_dns_auditor.checks.outcome import Outcome
from berth_dns_auditor.checks.suffixes import registrable
from berth_dns_auditor.findings import finding
from berth_events.contracts import Finding, Registration

__all__ = ["Registered", "Registry", "RegistryUnavailable", "check_registration"]

EXPIRING: Final = timedelta(days=30)
YOUNG: Final = timedelta(days=30)
#: States in which a name is not delegated, or goes soon (RFC 9083 §10.2.2, RFC 8056), as they are compared.
_HOLDS: Final = frozenset({"client hold", "server hold", "redemption period", "pending delete"})


@dataclass(frozen=True, slots=True)
class Registered:
    """What a registry says; None where it does not."""

    created_at: datetime | None = None
    expires_at: datetime | None = None
    statuses: tuple[str, ...] = ()


class RegistryUnavailable(Exception):
    """The registry gave no answer, or none is known for this ending. Ask again later."""


class Registry(Protocol):
    """Asks registries."""

    async def registration(self, domain: str) -> Registered | None:
        """What is said of a registered domain; None when it is not registered.

        Raises:
            RegistryUnavailable: nothing was learnt.
        """
        ...


async def check_registration(domain: str, registry: Registry, now: datetime) -> Outcome[Registration | None]:
    """Examine when the registration ends, and what stands in its way; None for a name that no registry has."""
    name = registrable(domain, known_only=True)
    if name is None:
        return Outcome(None)
    try:
        registered = await registry.registration(name)
    except RegistryUnavailable as error:
        return Outcome(None, (finding("RDAP_UNAVAILABLE", name, str(error)),))
    if registered is None:
        return Outcome(None)
    check = Registration(created_at=registered.created_at, expires_at=registered.expires_at)
    return Outcome(check, tuple(_findings(name, registered, now)))


def _findings(name: str, registered: Registered, now: datetime) -> list[Finding]:
    findings = []
    if registered.expires_at and registered.expires_at <= now:
        findings.append(finding("DOMAIN_EXPIRED", name, f"since {registered.expires_at.isoformat()}"))
    elif registered.expires_at and registered.expires_at - now < EXPIRING:
        findings.append(finding("DOMAIN_EXPIRING", name, f"at {registered.expires_at.isoformat()}"))
    if held := [status for status in registered.statuses if status.lower() in _HOLDS]:
        findings.append(finding("DOMAIN_HOLD", name, *held))
    if registered.created_at and now - registered.created_at < YOUNG:
        findings.append(finding("DOMAIN_YOUNG", name, f"registered at {registered.created_at.isoformat()}"))
    return findings
