"""From what is known of a domain to what the canonical API shows."""

from typing import Any

from berth_gateway.accounts.presentation import domain_resource
from berth_gateway.domains.repository import DomainView
from berth_gateway.domains.schemas import DomainDetail, DomainSummary

__all__ = ["domain_detail", "domain_summary"]


def domain_summary(view: DomainView) -> DomainSummary:
    """The domain in a list."""
    return DomainSummary(**_fields(view))


def domain_detail(view: DomainView) -> DomainDetail:
    """The domain with its whole record."""
    return DomainDetail(**_fields(view), record=view.audit.record if view.audit else None)


def _fields(view: DomainView) -> dict[str, Any]:
    definite = view.audit.definite if view.audit else None
    registration = definite.registration if definite else None
    web = definite.web if definite else None
    return {
        **domain_resource(view.domain, view.audit).model_dump(),
        "accounts": view.accounts,
        "health_score": definite.health_score if definite else None,
        "created_at": registration.created_at if registration else None,
        "expires_at": registration.expires_at if registration else None,
        "http": web.http if web else None,
        "https": web.https if web else None,
    }
