"""Domains: what the auditor says of the domains of the project's accounts."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request, status
from starlette.responses import Response

from berth_gateway.accounts.schemas import Text
from berth_gateway.api.authentication import ReadsDomains, WritesDomains
from berth_gateway.api.conditional import READ, IfChanged
from berth_gateway.api.openapi import KEY, problems
from berth_gateway.api.paths import decode_name, encode_name
from berth_gateway.api.services import Provided, context_of, publish
from berth_gateway.domains.presentation import domain_detail, domain_summary
from berth_gateway.domains.repository import DomainView
from berth_gateway.domains.schemas import DomainDetail, DomainPage
from berth_gateway.errors import InvalidCursor, InvalidFields, NotFound
from berth_net import HostRefused, canonical_name

__all__ = ["router"]

router = APIRouter(prefix="/v1/domains", tags=["domains"])

_CURSOR: Final = "d"


async def _domain(domain: Annotated[str, Path(description="the domain's name", examples=["acme.com"])]) -> str:
    try:
        return canonical_name(domain)
    except HostRefused:
        raise NotFound from None  # what cannot be a domain is not found, like any that is not ours


DomainName = Annotated[str, Depends(_domain)]


@router.get("", operation_id="listDomains", responses=problems(*KEY, InvalidCursor, InvalidFields))
async def list_domains(
    services: Provided,
    caller: ReadsDomains,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
    finding: Annotated[Text | None, Query(description="only domains with a finding of this code")] = None,
) -> DomainPage:
    """The domains of the project's accounts, by name."""
    after = decode_name(_CURSOR, cursor)
    async with services.pool.acquire() as connection:
        found = await services.domains.page(
            connection, caller.tenant.project_id, after=after, limit=limit + 1, finding=finding
        )
    shown = found[:limit]
    return DomainPage(
        items=[domain_summary(view) for view in shown],
        next_cursor=encode_name(_CURSOR, shown[-1].domain) if len(found) > limit else None,
    )


@router.get(
    "/{domain}",
    operation_id="getDomain",
    response_model=DomainDetail,
    responses={**READ, **problems(*KEY, NotFound)},
)
async def get_domain(services: Provided, caller: ReadsDomains, domain: DomainName, if_changed: IfChanged) -> Response:
    """One domain with its findings, and everything that the last audit saw."""
    return if_changed.response(domain_detail(await _found(services, caller, domain)))


@router.post(
    "/{domain}/audit",
    operation_id="auditDomain",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(*KEY, NotFound),
)
async def audit_domain(request: Request, services: Provided, caller: WritesDomains, domain: DomainName) -> DomainDetail:
    """Audit the domain again now. The answer still shows the last audit; `last_check_at` tells when there is a new one."""
    await publish(
        services,
        lambda connection: services.changes.audit_domain(connection, caller.tenant, domain, context_of(request)),
    )
    return domain_detail(await _found(services, caller, domain))


async def _found(services: Provided, caller: ReadsDomains, domain: str) -> DomainView:
    async with services.pool.acquire() as connection:
        view = await services.domains.find(connection, caller.tenant.project_id, domain)
    if view is None:
        raise NotFound
    return view
