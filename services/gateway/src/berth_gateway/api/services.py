"""What the endpoints work with, built by the composition root and handed to them by `Provided`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from berth_events.runtime.store import Context
from berth_gateway import feed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from berth_events.contracts import Verification
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection, Pool
    from berth_events.runtime.store import EventStore
    from berth_gateway.accounts.batch import Batch
    from berth_gateway.accounts.changes import Changes
    from berth_gateway.accounts.commands import Accounts
    from berth_gateway.accounts.connecting import Connecting
    from berth_gateway.accounts.probes import Probes
    from berth_gateway.accounts.repository import AccountRepository
    from berth_gateway.accounts.servers import ServerVetting
    from berth_gateway.accounts.tags import Tags
    from berth_gateway.api.idempotency import Idempotency
    from berth_gateway.api.rate_limits import RateLimits
    from berth_gateway.autoconfig.lookup import Autoconfig, FindsServers
    from berth_gateway.dialects.mailreach.imap_auth import ImapAuth
    from berth_gateway.dialects.smartlead.services import SmartLead
    from berth_gateway.domains.repository import DomainRepository
    from berth_gateway.feed import FeedReader, FeedTail
    from berth_gateway.imports.commands import Imports
    from berth_gateway.imports.repository import ImportRepository, Mark
    from berth_gateway.tenants.keyring import Keyring
    from berth_gateway.tenants.keys import Keys
    from berth_gateway.tenants.organizations import Organizations
    from berth_gateway.tenants.projects import Projects
    from berth_gateway.tenants.secrets import OperatorKey
    from berth_gateway.usage.repository import UsageRepository
    from berth_gateway.waiting import Waiting
    from berth_gateway.webhooks.commands import Webhooks
    from berth_gateway.webhooks.repository import WebhookRepository
    from berth_gateway.webhooks.translation import EndpointVetting
    from berth_gateway.workspaces.accounts import WorkspaceAccounts
    from berth_gateway.workspaces.commands import Workspaces
    from berth_gateway.workspaces.repository import WorkspaceRepository

__all__ = ["Provided", "Services", "StreamTiming", "context_of", "publish"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTiming:
    """How long an event stream is silent at most, and how long it lasts, in seconds."""

    heartbeat: float = 15
    cap: float = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything behind the endpoints."""

    pool: "Pool"
    store: "EventStore"
    clock: "Clock"
    operator_key: "OperatorKey"
    rate_limits: "RateLimits"
    keyring: "Keyring"
    keys: "Keys"
    organizations: "Organizations"
    projects: "Projects"
    idempotency: "Idempotency"
    vetting: "ServerVetting"
    autoconfig: "Autoconfig"
    accounts: "Accounts"
    repository: "AccountRepository"
    feed: "FeedReader"
    tail: "FeedTail"
    changes: "Changes"
    tags: "Tags"
    probes: "Probes"
    connecting: "Connecting"
    batch: "Batch"
    domains: "DomainRepository"
    usage: "UsageRepository"
    settled: "Waiting[UUID, Verification]"
    mailreach: "ImapAuth"
    smartlead: "SmartLead"
    webhooks: "Webhooks"
    webhook_repository: "WebhookRepository"
    endpoint_vetting: "EndpointVetting"
    workspaces: "Workspaces"
    workspace_accounts: "WorkspaceAccounts"
    workspace_repository: "WorkspaceRepository"
    imports: "Imports"
    import_repository: "ImportRepository"
    import_vetting: "Callable[[], ServerVetting]"
    import_finder: "Callable[[], FindsServers]"
    import_settled: "Waiting[UUID, int]"
    import_progress: "Waiting[tuple[UUID, Mark], Mark]"
    timing: StreamTiming = StreamTiming()


async def _services(request: Request) -> Services:  # async: a plain function would run in a thread
    found: Services = request.app.state.services
    return found


Provided = Annotated[Services, Depends(_services)]


def context_of(request: Request) -> Context:
    """The context of what the request makes happen."""
    return Context(correlation_id=request.state.request_id, traceparent=request.state.traceparent)


async def publish(services: Services, change: "Callable[[Connection], Awaitable[list[feed.Entry]]]") -> None:
    """Make a change in a transaction, with its entries in the projects' feeds; afterwards the relay is woken."""
    async with services.pool.acquire() as connection, connection.transaction():
        await feed.publish(connection, await change(connection))
    services.store.notify()
