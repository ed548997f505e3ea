"""Proves the credential of an email workspace, and says whether its accounts can be verified with it."""

import random
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from berth_connector import repository as accounts
from berth_connector.diagnosis import Finding
from berth_connector.oauth import (
    IMAP_ROLE,
    SMTP_ROLE,
    TokenSource,
    WorkspaceKey,
    concerns_domain,
    concerns_workspace,
    lacks_role,
)
from berth_connector.policies import next_attempt, recheck_after
from berth_connector.probe import TokenGrant
from berth_connector.requests import recheck_of
from berth_connector.workspaces import repository
from berth_connector.workspaces.intake import MAX_SUBJECTS
from berth_connector.workspaces.repository import Workspace
from berth_connector.workspaces.requests import verification_of
from berth_events.contracts import Diagnosis, EmailWorkspaceRejected, EmailWorkspaceVerified, Envelope, Event
from berth_events.runtime.store import Context
from berth_vault import Binding, Credential, CredentialErased

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection, Pool
    from berth_events.runtime.store import EventStore
    from berth_events.runtime.work import Job, WorkQueue
    from berth_vault import VaultReader

__all__ = ["Identity", "Proof", "WorkspaceHandler", "open_credential", "reject", "say"]

_RECHECK: Final = timedelta(days=1)

_log = structlog.get_logger(__name__)


class Identity(Protocol):
    """Says why there is no token (`berth_connector.probe.Prober`)."""

    async def diagnose(self, grant: TokenGrant) -> Finding | None:
        """Get a token and nothing else; why there is none, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Proof:
    """Which credential was tried, and why it gives no token, or None."""

    key: WorkspaceKey
    finding: Finding | None


class WorkspaceHandler:
    """Performs the verifications of workspaces and records them.

    Args:
        pool: the connector's database.
        vault_pool: the database with the vault, as berth_connector.
        vault: opens credentials.
        identity: says why there is no token.
        tokens: gets tokens.
        store: where the events go.
        queue: where the next attempt waits, and the accounts.
        clock: time.
        rng: spreads attempts.
    """

    def __init__(
        self,
        *,
        pool: "Pool",
        vault_pool: "Pool",
        vault: "VaultReader",
        identity: Identity,
        tokens: TokenSource,
        store: "EventStore",
        queue: "WorkQueue",
        clock: "Clock",
        rng: random.Random,
    ) -> None:
        self._pool, self._vault_pool, self._vault = pool, vault_pool, vault
        self._identity, self._tokens = identity, tokens
        self._store, self._queue, self._clock, self._rng = store, queue, clock, rng

    async def perform(self, job: "Job") -> Proof | None:
        """Ask for a token. None: there is nothing to prove any more.

        A Google workspace is proven with its mailboxes, because a service account gets tokens of its own without any
        delegation. Where none is known, or none of them exists, such a token still proves the key. A Microsoft workspace's
        token has to have the roles that all of its mailboxes need.
        """
        async with self._pool.acquire() as connection:
            workspace = await repository.find(connection, job.key)
            known = await repository.subjects(connection, job.key, MAX_SUBJECTS)
            used = await repository.used_by_all(connection, job.key)
        if workspace is None:
            return None
        subjects = list(dict.fromkeys([*known, *job.payload["subjects"]]))[:MAX_SUBJECTS]
        key = workspace.newest
        try:
            credential = await open_credential(self._vault_pool, self._vault, workspace, key)
        except CredentialErased:
            _log.info("workspace.obsolete", workspace_id=str(job.key), because="credential erased")
            return None
        if key.provider == "google":
            return Proof(key, await self._prove(key, credential, subjects))
        roles = frozenset(role for role, is_used in zip((IMAP_ROLE, SMTP_ROLE), used, strict=True) if is_used)
        return Proof(key, await self._ask(key, credential, None, roles))

    async def record(self, connection: "Connection", job: "Job", result: Proof | None) -> None:
        """Say what came out, once; when the workspace works, look at its accounts that do not."""
        if result is None:
            return
        workspace = await repository.lock(connection, job.key)
        if workspace is None or workspace.newest != result.key:
            return  # it has another credential by now, which is proven by work of its own
        if result.finding is None:
            await repository.verify(connection, job.key, self._clock.now())
            if workspace.state != "verified":
                await self._accept(connection, job, workspace)
            return
        diagnosis = result.finding.diagnosis
        of_all = concerns_workspace(result.key.provider, diagnosis)
        refused = of_all or concerns_domain(diagnosis) or lacks_role(diagnosis)
        if refused:
            await reject(self._store, connection, job, workspace, result.key, diagnosis)
        failures = await repository.count_failure(connection, job.key)
        wait = next_attempt(diagnosis.retry_policy, failures, result.finding.wait, self._rng)
        if wait is None and not refused:
            wait = recheck_after(_RECHECK, self._rng)  # nothing was said against it: it is not given up
        if wait is not None:
            run_at = self._clock.now() + wait
            item = verification_of(
                job.key, result.key.provider, job.causation_id, run_at=run_at, traceparent=job.traceparent
            )
            await self._queue.schedule(connection, [item])

    async def _prove(self, key: WorkspaceKey, credential: Credential, subjects: list[str]) -> Finding | None:
        denied: Finding | None = None
        for subject in subjects:
            finding = await self._ask(key, credential, subject)
            if finding is None:
                return None
            if concerns_domain(finding.diagnosis):  # another domain may have entered the delegation
                denied = denied or finding
            elif finding.diagnosis.code != "DWD_SUBJECT_INVALID":
                return finding
        return denied or await self._ask(key, credential, None)

    async def _ask(
        self, key: WorkspaceKey, credential: Credential, subject: str | None, roles: AbstractSet[str] = frozenset()
    ) -> Finding | None:
        fetch = partial(self._tokens.token, key, subject, credential, roles=roles, fresh=True, ask_anyway=True)
        return await self._identity.diagnose(TokenGrant(service=key.provider, fetch=fetch))

    async def _accept(self, connection: "Connection", job: "Job", workspace: Workspace) -> None:
        event = EmailWorkspaceVerified(
            workspace_id=workspace.workspace_id,
            organization_id=workspace.organization_id,
            project_id=workspace.project_id,
            credential_ref=workspace.newest.credential_ref,
        )
        envelope = await say(self._store, connection, job, event)
        now = self._clock.now()
        account_ids = await repository.resumable(connection, workspace.workspace_id, now)
        found = await accounts.find_all(connection, account_ids)
        await self._queue.request(connection, [recheck_of(one.request, envelope.event_id, now) for one in found])


async def reject(
    store: "EventStore",
    connection: "Connection",
    job: "Job",
    workspace: Workspace,
    key: WorkspaceKey,
    diagnosis: Diagnosis,
) -> None:
    """A credential was refused: say what that means for the workspace, unless it was said. Locks the workspace."""
    changed = await repository.reject(connection, workspace.workspace_id, key.credential_ref.version, diagnosis)
    if changed is not None and changed.diagnosis is not None:
        event = EmailWorkspaceRejected(
            workspace_id=changed.workspace_id,
            organization_id=changed.organization_id,
            project_id=changed.project_id,
            credential_ref=changed.newest.credential_ref,
            diagnosis=changed.diagnosis,
            proven_version=changed.proven.credential_ref.version if changed.proven else None,
        )
        await say(store, connection, job, event)


async def say(store: "EventStore", connection: "Connection", job: "Job", event: Event) -> Envelope:
    """Append an event of a workspace, which is locked."""
    version = await store.version(connection, event.aggregate_id)
    context = Context(causation_id=job.causation_id, traceparent=job.traceparent)
    [envelope] = await store.append(connection, event.aggregate_id, version, [event], context)
    return envelope


async def open_credential(pool: "Pool", vault: "VaultReader", workspace: Workspace, key: WorkspaceKey) -> Credential:
    """Open a version of a workspace's credential.

    Raises:
        CredentialErased: it is gone.
        CannotOpen: it is another row's.
    """
    binding = Binding(
        organization_id=workspace.organization_id,
        owner_id=workspace.workspace_id,
        credential_id=key.credential_ref.credential_id,
        version=key.credential_ref.version,
    )
    async with pool.acquire() as connection:
        return await vault.read(connection, binding)
