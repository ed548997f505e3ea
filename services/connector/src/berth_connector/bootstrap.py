"""The connector's composition root."""

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from importlib.util import find_spec
from typing import Final

from fastapi import FastAPI

from berth_connector.breaker import Breaker
from berth_connector.checkup import CheckupHandler, Examines, NoExaminer
from berth_connector.checkup.requests import CHECKUP
from berth_connector.diagnosis import DiagnosisTable
from berth_connector.handlers import Handlers
from berth_connector.intake import Intake
from berth_connector.oauth import GoogleGrants, MicrosoftGrants, Sessions, TokenSource, origin_of
from berth_connector.outages import Outages
from berth_connector.politeness import Places, shipped_rules
from berth_connector.probe import Dialler, Limits, Prober, client_context
from berth_connector.requests import RECHECK, VERIFY
from berth_connector.settings import ConnectorSettings
from berth_connector.sign_in import SignIn
from berth_connector.worker import VerifyHandler
from berth_connector.workspaces import ExpiryHandler, WorkspaceHandler
from berth_connector.workspaces.requests import EXPIRY as EXPIRY_WARNING
from berth_connector.workspaces.requests import VERIFY as VERIFY_WORKSPACE
from berth_events.runtime.buses import open_bus
from berth_events.runtime.clock import Clock, SystemClock
from berth_events.runtime.database import Pool, open_pool
from berth_events.runtime.parking import Parking
from berth_events.runtime.projector import Projector
from berth_events.runtime.relay import Relay
from berth_events.runtime.service import Parts, Service
from berth_events.runtime.store import EventStore
from berth_events.runtime.work import WorkQueue
from berth_events.runtime.worker_pool import WorkerPool
from berth_net import DnsResolver, HostGuard, RememberingResolver
from berth_vault import Opener, VaultReader

__all__ = ["SERVICE", "build", "make_examiner", "make_guard", "make_handlers", "make_prober", "make_tokens"]

#: Verifications at once in this process: each holds two connections, and memory for TLS.
CONCURRENCY: Final = 200
#: A bulk import dials one host again and again: seconds for which it is not looked up anew.
HOST_MEMORY_S: Final = 5
#: Only for reading credentials, which takes a millisecond.
_VAULT_POOL: Final = 4


def make_guard(settings: ConnectorSettings) -> HostGuard:
    """Which hosts may be connected to, by the settings."""
    resolver = RememberingResolver(DnsResolver(settings.berth_dns_servers), seconds=HOST_MEMORY_S)
    return HostGuard(resolver, settings.policy())


def make_prober(settings: ConnectorSettings, clock: Clock, guard: HostGuard) -> Prober:
    """A prober by the settings."""
    return Prober(
        guard,
        client_context(settings.berth_extra_ca_file),
        DiagnosisTable.load(),
        clock,
        local_hostname=settings.berth_ehlo_name,
    )


def make_examiner(settings: ConnectorSettings, clock: Clock, guard: HostGuard) -> Examines:
    """Who does checkups, by the settings and by what is installed."""
    table = DiagnosisTable.load()
    if find_spec("aioimaplib") is None:
        return NoExaminer(table, clock)
    from berth_connector.checkup.delivery import Means  # noqa: PLC0415
    from berth_connector.checkup.examiner import Examiner  # noqa: PLC0415 - the extra, which imports the library

    limits = Limits()
    means = Means(
        dialler=Dialler(guard, client_context(settings.berth_extra_ca_file), limits),
        table=table,
        clock=clock,
        limits=limits,
        local_hostname=settings.berth_ehlo_name,
        arrival=settings.berth_checkup_wait_seconds,
    )
    return Examiner(means, DnsResolver(settings.berth_dns_servers))


@contextmanager
def make_tokens(settings: ConnectorSettings, clock: Clock) -> Iterator[TokenSource]:
    """A source of access tokens by the settings."""
    google, microsoft = settings.berth_google_token_url, settings.berth_microsoft_authority
    # a context of its own: HTTP clients change theirs
    sessions = Sessions({origin_of(google), origin_of(microsoft)}, client_context(settings.berth_extra_ca_file))
    tokens = TokenSource(
        GoogleGrants(google, sessions, clock),
        MicrosoftGrants(microsoft, sessions, clock),
        DiagnosisTable.load(),
        clock,
    )
    try:
        yield tokens
    finally:
        tokens.close()
        sessions.close()


def make_handlers(
    pool: Pool,
    vault_pool: Pool,
    vault: VaultReader,
    prober: Prober,
    examiner: Examines,
    tokens: TokenSource,
    guard: HostGuard,
    store: EventStore,
    queue: WorkQueue,
    clock: Clock,
    rng: random.Random,
    *,
    recheck: timedelta,
) -> Handlers:
    """The handlers of every kind of work."""
    sign_in, places, breaker = SignIn(pool, vault_pool, vault, tokens), Places(pool, queue, guard), Breaker(clock)
    verify = VerifyHandler(
        pool=pool,
        sign_in=sign_in,
        places=places,
        mailboxes=prober,
        store=store,
        queue=queue,
        breaker=breaker,
        outages=Outages(clock),
        clock=clock,
        rng=rng,
        recheck=recheck,
    )
    verify_workspace = WorkspaceHandler(
        pool=pool,
        vault_pool=vault_pool,
        vault=vault,
        identity=prober,
        tokens=tokens,
        store=store,
        queue=queue,
        clock=clock,
        rng=rng,
    )
    check_up = CheckupHandler(
        pool=pool,
        sign_in=sign_in,
        places=places,
        examiner=examiner,
        store=store,
        queue=queue,
        breaker=breaker,
        clock=clock,
        rng=rng,
    )
    return Handlers(
        {
            CHECKUP: check_up,
            VERIFY: verify,
            RECHECK: verify,
            VERIFY_WORKSPACE: verify_workspace,
            EXPIRY_WARNING: ExpiryHandler(store, queue, clock),
        }
    )


@asynccontextmanager
async def build(settings: ConnectorSettings) -> AsyncIterator[Parts]:
    """Build every part of the connector, and release it at the end."""
    clock = SystemClock()
    store = EventStore("/berth/connector", clock)
    queue = WorkQueue(
        clock,
        lease=timedelta(seconds=settings.lease_seconds),
        rules=shipped_rules(settings.policy()),
        egress=settings.berth_egress_address,
    )
    guard = make_guard(settings)
    intake = Intake(queue, clock)
    vault_dsn = settings.vault_database_url.get_secret_value()
    async with (
        open_bus(settings) as bus,
        await open_pool(settings.database(), application_name="berth-connector", max_size=settings.pool_size) as pool,
        await open_pool(vault_dsn, application_name="berth-connector-vault", max_size=_VAULT_POOL) as vault_pool,
    ):
        with make_tokens(settings, clock) as tokens:
            handler = make_handlers(
                pool,
                vault_pool,
                VaultReader(Opener.from_text(settings.berth_vault_private_keys.get_secret_value())),
                make_prober(settings, clock, guard),
                make_examiner(settings, clock, guard),
                tokens,
                guard,
                store,
                queue,
                clock,
                random.Random(),  # noqa: S311 - jitter is no secret
                recheck=timedelta(hours=settings.berth_recheck_hours),
            )
            yield Parts(
                pool=pool,
                bus=bus,
                clock=clock,
                app=FastAPI(title="Berth connector (internal)", version="1", docs_url=None, redoc_url=None),
                projections=[intake],
                running=[
                    Relay(settings.database(), bus, store.appended, clock),
                    Projector(pool, bus, intake, Parking(clock), clock),
                ],
                workers=[WorkerPool(pool, queue, handler, store, clock, concurrency=CONCURRENCY)],
            )


SERVICE = Service(name="connector", packages=["berth_connector"], settings=ConnectorSettings, build=build)
