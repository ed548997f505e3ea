"""The gateway's composition root."""

import hashlib
import hmac
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from berth_events.runtime.buses import open_bus
from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import open_pool
from berth_events.runtime.parking import Parking
from berth_events.runtime.projector import Projector
from berth_events.runtime.rebuild import ActiveProjection, RebuildableProjection
from berth_events.runtime.relay import Relay
from berth_events.runtime.service import Part, Parts, Service
from berth_events.runtime.store import EventStore
from berth_gateway.accounts.attempts import Attempts
from berth_gateway.accounts.batch import Batch
from berth_gateway.accounts.bulk import BulkAccounts
from berth_gateway.accounts.changes import Changes
from berth_gateway.accounts.commands import Accounts
from berth_gateway.accounts.connecting import Connecting
from berth_gateway.accounts.probes import Probes
from berth_gateway.accounts.repository import AccountRepository
from berth_gateway.accounts.servers import ServerVetting
from berth_gateway.accounts.tags import Tags
from berth_gateway.api.app import make_app
from berth_gateway.api.idempotency import Idempotency
from berth_gateway.api.rate_limits import RateLimits
from berth_gateway.api.services import Services
from berth_gateway.autoconfig.known import KnownServices
from berth_gateway.autoconfig.lookup import Autoconfig
from berth_gateway.dialects.mailreach.imap_auth import ImapAuth
from berth_gateway.dialects.smartlead.campaigns import Campaigns
from berth_gateway.dialects.smartlead.labelling import Labelling
from berth_gateway.dialects.smartlead.reconnecting import Reconnecting
from berth_gateway.dialects.smartlead.saving import Saving
from berth_gateway.dialects.smartlead.services import SmartLead
from berth_gateway.domains.repository import DomainRepository
from berth_gateway.feed import FeedReader, FeedTail
from berth_gateway.fingerprints import Fingerprints
from berth_gateway.housekeeping import Housekeeping
from berth_gateway.imports.announcer import Announcer
from berth_gateway.imports.commands import Imports
from berth_gateway.imports.repository import ImportRepository
from berth_gateway.imports.vetting import HostsOfOneImport, ImportVetting, ServersOfOneImport
from berth_gateway.process_manager import ProcessManager
from berth_gateway.projections import History, Views
from berth_gateway.seats import SeatLedger
from berth_gateway.settings import GatewaySettings
from berth_gateway.tenants.keyring import Keyring
from berth_gateway.tenants.keys import Keys
from berth_gateway.tenants.organizations import Organizations
from berth_gateway.tenants.projects import Projects
from berth_gateway.tenants.secrets import OperatorKey
from berth_gateway.usage.repository import UsageRepository
from berth_gateway.waiting import Waiting
from berth_gateway.webhooks.attempts import Messenger
from berth_gateway.webhooks.commands import Webhooks
from berth_gateway.webhooks.delivery import Deliveries
from berth_gateway.webhooks.queue import DeliveryQueue
from berth_gateway.webhooks.repository import WebhookRepository
from berth_gateway.webhooks.schedule import Schedule
from berth_gateway.webhooks.secrets import SecretBox, parse_webhook_key
from berth_gateway.webhooks.translation import EndpointVetting
from berth_gateway.workspaces.accounts import WorkspaceAccounts
from berth_gateway.workspaces.commands import Workspaces
from berth_gateway.workspaces.hosts import MailHosts, WorkspaceProvider
from berth_gateway.workspaces.projections import WorkspaceViews
from berth_gateway.workspaces.repository import WorkspaceRepository
from berth_net import AddressResolver, DnsMailRecords, DnsResolver, HostGuard, MailRecords, Policy, RememberingResolver
from berth_net.http import WEB_PORTS, HttpClient, WebGuard
from berth_vault import Sealer, VaultWriter

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Pool

__all__ = ["SERVICE", "Gateway", "build", "compose"]

#: How long the door remembers where a host is. The connector, which dials, asks for itself.
_HOST_MEMORY_S: Final = 30
#: Requests at once to one webhook, by all replicas together.
_PER_WEBHOOK: Final = 8
#: How often streams of imports look for progress.
_IMPORT_POLL_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The gateway without its bus."""

    services: Services
    projections: tuple[RebuildableProjection, ...]
    manager: ProcessManager
    housekeeping: Housekeeping
    announcer: Announcer
    pollers: tuple[Part, ...]
    deliveries: Deliveries
    http: HttpClient


def compose(
    settings: GatewaySettings,
    pool: "Pool",
    store: EventStore,
    clock: "Clock",
    resolver: AddressResolver,
    records: MailRecords,
    *,
    tls: ssl.SSLContext | None = None,
) -> Gateway:
    """Wire what works on the database alone, and what webhooks are sent with.

    Args:
        settings: from the environment.
        pool: the gateway's database.
        store: its events.
        clock: time.
        resolver: asked for the hosts that users name.
        records: asked for the mail servers of domains.
        tls: verifies the receivers of webhooks; None: the authorities that the system trusts.
    """
    vault = VaultWriter(Sealer.from_text(settings.berth_vault_public_key))
    guard = HostGuard(resolver, settings.policy())
    vetting = ServerVetting(guard)
    autoconfig = Autoconfig(KnownServices.load(), records, guard)
    operator_key = settings.berth_operator_key.get_secret_value()
    fingerprints = Fingerprints(hmac.new(operator_key.encode(), b"berth fingerprints", hashlib.sha256).digest())
    seats, repository = SeatLedger(), AccountRepository()
    tags = Tags(clock)
    changes = Changes(store, vault, tags, clock)
    accounts, probes = Accounts(store, vault, seats, changes, clock), Probes(store, vault, clock)
    settled = Waiting(pool, repository.settled, clock)
    audits = Waiting(pool, repository.audited, clock)
    connecting = Connecting(
        pool=pool,
        store=store,
        accounts=accounts,
        changes=changes,
        probes=probes,
        repository=repository,
        attempts=Attempts(clock),
        fingerprints=fingerprints,
        settled=settled,
    )
    reader = FeedReader(pool)
    tail = FeedTail(reader, clock)
    box = SecretBox(parse_webhook_key(settings.berth_webhook_key.get_secret_value()))
    web_ports = WEB_PORTS | Policy.parse(allow_ports=settings.berth_webhook_ports).allow_ports
    web = WebGuard(HostGuard(resolver, settings.policy()), ports=web_ports, plain="private")
    http = HttpClient(web, tls=tls, user_agent="Berth-Webhooks/1")
    queue = DeliveryQueue(clock, per_webhook=_PER_WEBHOOK)
    workspaces = Workspaces(store, vault, accounts, clock)
    bulk = BulkAccounts(store, vault, seats, clock)
    hosts: dict[WorkspaceProvider, MailHosts] = {
        "google": MailHosts.of("google", settings.berth_google_mail_hosts),
        "microsoft": MailHosts.of("microsoft", settings.berth_microsoft_mail_hosts),
    }
    through = WorkspaceAccounts(workspaces, bulk, probes, hosts)
    imports = ImportRepository()
    import_settled = Waiting(pool, imports.settled, clock)
    import_progress = Waiting(pool, imports.moved, clock, every=_IMPORT_POLL_S)
    services = Services(
        pool=pool,
        store=store,
        clock=clock,
        operator_key=OperatorKey(operator_key),
        rate_limits=RateLimits(settings.berth_rate_limit, settings.berth_wrong_key_limit),
        keyring=Keyring(pool, clock),
        keys=Keys(clock),
        organizations=Organizations(clock),
        projects=Projects(clock),
        idempotency=Idempotency(pool, store, fingerprints, clock),
        vetting=vetting,
        autoconfig=autoconfig,
        accounts=accounts,
        repository=repository,
        feed=reader,
        tail=tail,
        changes=changes,
        tags=tags,
        probes=probes,
        connecting=connecting,
        batch=Batch(pool, store, accounts, changes, repository),
        domains=DomainRepository(),
        usage=UsageRepository(),
        settled=settled,
        webhooks=Webhooks(box, clock),
        webhook_repository=WebhookRepository(),
        endpoint_vetting=EndpointVetting(web),
        workspaces=workspaces,
        workspace_accounts=through,
        workspace_repository=WorkspaceRepository(),
        imports=Imports(workspaces=workspaces, through=through, bulk=bulk, vault=vault, seats=seats, clock=clock),
        import_repository=imports,
        import_vetting=lambda: ImportVetting(HostGuard(HostsOfOneImport(resolver), settings.policy())),
        import_finder=lambda: ServersOfOneImport(autoconfig),
        import_settled=import_settled,
        import_progress=import_progress,
        smartlead=SmartLead(
            saving=Saving(pool, vetting, connecting, repository),
            campaigns=Campaigns(clock),
            labelling=Labelling(repository, changes, tags),
            reconnecting=Reconnecting(changes, clock),
        ),
        mailreach=ImapAuth(
            pool=pool,
            vetting=vetting,
            connecting=connecting,
            repository=repository,
            audits=audits,
            clock=clock,
        ),
    )
    return Gateway(
        services=services,
        projections=(Views(), History(), WorkspaceViews()),
        manager=ProcessManager(accounts, changes, probes, seats, workspaces, clock),
        housekeeping=Housekeeping(pool, probes, clock),
        announcer=Announcer(pool, store, imports, clock),
        pollers=(settled, audits, tail, import_settled, import_progress),
        deliveries=Deliveries(pool, queue, Messenger(http, box, clock), reader, Schedule(), clock),
        http=http,
    )


@asynccontextmanager
async def build(settings: GatewaySettings) -> AsyncIterator[Parts]:
    """Build every part of the gateway, and release it at the end."""
    clock = SystemClock()
    store = EventStore("/berth/gateway", clock)
    parking = Parking(clock)
    async with (
        open_bus(settings) as bus,
        await open_pool(settings.database(), application_name="berth-gateway", max_size=settings.pool_size) as pool,
    ):
        resolver = RememberingResolver(DnsResolver(settings.berth_dns_servers), seconds=_HOST_MEMORY_S)
        gateway = compose(settings, pool, store, clock, resolver, DnsMailRecords(settings.berth_dns_servers))
        async with gateway.http:
            yield Parts(
                pool=pool,
                bus=bus,
                clock=clock,
                app=make_app(gateway.services),
                projections=[*gateway.projections, gateway.manager],
                running=[
                    Relay(settings.database(), bus, store.appended, clock),
                    *(ActiveProjection(pool, bus, projection, parking, clock) for projection in gateway.projections),
                    Projector(pool, bus, gateway.manager, parking, clock, store=store),
                    gateway.housekeeping,
                    gateway.announcer,
                    *gateway.pollers,
                    gateway.deliveries,
                ],
            )


SERVICE = Service(
    name="gateway",
    packages=["berth_vault", "berth_gateway"],
    settings=GatewaySettings,
    build=build,
    rebuildable=[Views(), History(), WorkspaceViews()],
)
