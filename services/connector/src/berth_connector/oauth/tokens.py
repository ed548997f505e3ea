"""Access tokens for mailboxes: kept until a minute before they end, asked for once at a time, and not again when refused."""

import asyncio
from collections import OrderedDict
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar
from weakref import WeakValueDictionary

from berth_connector import metrics
from berth_connector.diagnosis import DiagnosisTable, Origin
from berth_connector.diagnosis.rules import UNKNOWN
from berth_connector.oauth.google import GoogleGrants
from berth_connector.oauth.grants import AccessToken, KeyId, WorkspaceKey
from berth_connector.oauth.microsoft import MicrosoftGrants
from berth_connector.oauth.session import allow_seconds
from berth_connector.policies import POLICIES
from berth_connector.probe.faults import Fault
from berth_connector.redaction import Redactor
from berth_vault import Credential

if TYPE_CHECKING:
    from berth_events.contracts import Diagnosis
    from berth_events.runtime.clock import Clock

__all__ = ["THREADS", "THREADS_PER_KEY", "TokenSource", "concerns_domain", "concerns_workspace", "lacks_role"]

#: Grants at once in this process, of each provider: one that is slow holds up nobody who asks the other.
THREADS: Final = 8
#: Of them, with one credential: a tenant whose grants are slow leaves threads to the others.
THREADS_PER_KEY: Final = THREADS // 2
#: Seconds for a grant, the wait for a thread included.
_LIMIT_S: Final = 20
#: Seconds for which a thread waits for answers.
_PATIENCE_S: Final = 15
_MAX_TOKENS: Final = 20_000
_MAX_REFUSALS: Final = 10_000
#: A token is used until then, one of a short life until half of it.
_BEFORE_EXPIRY: Final = timedelta(minutes=1)
#: A token for all mailboxes of a tenant that a mail server has refused for one of them is not fetched anew when it is younger.
_FRESH: Final = timedelta(minutes=1)
#: How long what was refused is not asked for again, unless somebody wants to know.
_REMEMBERED: Final = timedelta(minutes=4)
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)

_PROVIDERS: Final = ("google", "microsoft")

K = TypeVar("K")
V = TypeVar("V")
#: Version of the credential, and the subject of the token (Google) or None (Microsoft: one for all).
_TokenId = tuple[KeyId, str | None]
#: Version of the credential, and the domain that the refusal is about, or None: all.
_Scope = tuple[KeyId, str | None]


def concerns_workspace(provider: str, diagnosis: "Diagnosis") -> bool:
    """Whether a failure to get a token is that of the credential, and so of every mailbox.

    At Microsoft that is everything but what passes: no token is asked for a mailbox. A role may be missing that only some need.
    """
    if diagnosis.retry_policy == "never_pause_workspace":
        return True
    policy = POLICIES[diagnosis.retry_policy]
    lasting = policy is None or not policy.transient
    return provider == "microsoft" and lasting and not lacks_role(diagnosis)


def lacks_role(diagnosis: "Diagnosis") -> bool:
    """Whether there is a token, but without a role that was needed: of every mailbox that needs it."""
    return diagnosis.code == "OAUTH_ROLE_MISSING"


def concerns_domain(diagnosis: "Diagnosis") -> bool:
    """Whether it is that of every mailbox of the domain: delegation is granted by domains."""
    return diagnosis.code == "DWD_NOT_AUTHORISED"


@dataclass(frozen=True, slots=True)
class _Refusal:
    fault: Fault
    at: datetime


class TokenSource:
    """Gets access tokens.

    The first token of a credential is asked for alone: when it is refused, whoever waited is told the same and nobody asks.

    Args:
        google: asks Google.
        microsoft: asks Microsoft.
        table: tells which refusals concern more than one mailbox.
        clock: time.
    """

    def __init__(self, google: GoogleGrants, microsoft: MicrosoftGrants, table: DiagnosisTable, clock: "Clock") -> None:
        self._google, self._microsoft, self._table, self._clock = google, microsoft, table, clock
        self._threads = {name: ThreadPoolExecutor(THREADS, f"oauth-{name}") for name in _PROVIDERS}
        self._slots = {name: asyncio.Semaphore(THREADS) for name in _PROVIDERS}
        self._tokens: OrderedDict[_TokenId, AccessToken] = OrderedDict()
        self._refusals: OrderedDict[_Scope, _Refusal] = OrderedDict()
        self._proven: OrderedDict[_Scope, None] = OrderedDict()
        self._locks: WeakValueDictionary[tuple[object, ...], asyncio.Lock] = WeakValueDictionary()
        self._turns: WeakValueDictionary[KeyId, asyncio.Semaphore] = WeakValueDictionary()

    async def token(
        self,
        key: WorkspaceKey,
        subject: str | None,
        credential: Credential,
        *,
        roles: AbstractSet[str] = frozenset(),
        fresh: bool = False,
        since: datetime | None = None,
        ask_anyway: bool = False,
    ) -> str:
        """An access token.

        Args:
            key: the credential's version.
            subject: the mailbox; None for a token of the application or service account itself.
            credential: the secret of that version.
            roles: Microsoft's permissions that it has to carry.
            fresh: a mail server has refused the last one.
            since: when the credential was proven last, perhaps by another replica: earlier refusals of it are over.
            ask_anyway: what is remembered of a refusal does not count.

        Raises:
            Fault: there is none.
        """
        domain = subject.rpartition("@")[2].lower() if subject else None
        subject = subject if key.provider == "google" else None
        scope = (key.id, domain if subject else None)
        known_since = None if ask_anyway else since or _LONG_AGO
        found = self._kept((key.id, subject), roles, fresh=fresh)
        if found is None:
            async with self._lock(("token", key.id, subject)):
                found = self._kept((key.id, subject), roles, fresh=fresh)
                if found is None:
                    found = await self._first(scope, key, subject, credential, known_since)
        _check_roles(found, roles)
        return found.value

    def close(self) -> None:
        """Ask for nothing more."""
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)

    async def _first(
        self,
        scope: _Scope,
        key: WorkspaceKey,
        subject: str | None,
        credential: Credential,
        known_since: datetime | None,
    ) -> AccessToken:
        """The first one of a scope goes alone; the others wait for what it brings."""
        if scope not in self._proven:
            async with self._lock(("scope", *scope)):
                if scope not in self._proven:
                    return await self._ask(scope, key, subject, credential, known_since)
        return await self._ask(scope, key, subject, credential, known_since)

    async def _ask(
        self,
        scope: _Scope,
        key: WorkspaceKey,
        subject: str | None,
        credential: Credential,
        known_since: datetime | None,
    ) -> AccessToken:
        async with asyncio.timeout(_LIMIT_S), self._turn(key.id), self._slots[key.provider]:
            if known_since is not None:  # whoever waits for a slot learns what was refused meanwhile
                self._refuse(scope, known_since)
            try:
                token = await self._granted(key, subject, credential)
            except Fault as fault:
                self._remember(scope, fault, key.provider)
                raise
        _keep(self._tokens, (key.id, subject), token, _MAX_TOKENS)
        _keep(self._proven, scope, None, _MAX_REFUSALS)
        self._refusals.pop(scope, None)
        self._refusals.pop((key.id, None), None)
        return token

    async def _granted(self, key: WorkspaceKey, subject: str | None, credential: Credential) -> AccessToken:
        """A token. A refusal in words that nobody knows does not pause a workspace for one mailbox: the key is tried alone."""
        try:
            return await self._fetch(key, subject, credential)
        except Fault as fault:
            if subject is None or not self._is_vague(fault, key.provider):
                raise
            refusal = fault
        await self._fetch(key, None, credential)  # raises what is the matter, when that is the key
        raise _of_the_mailbox(refusal)

    async def _fetch(self, key: WorkspaceKey, subject: str | None, credential: Credential) -> AccessToken:
        """Ask the provider in a thread. Whoever goes away leaves the thread to its own patience."""
        secret = credential.reveal("service_account_key" if key.provider == "google" else "client_secret")

        def ask() -> AccessToken:  # no `partial`, which shows what it holds
            with allow_seconds(_PATIENCE_S):
                if key.provider == "google":
                    return self._google.fetch(key.id, secret, subject)
                return self._microsoft.fetch(key, secret)

        outcome = "failed"
        try:
            loop = asyncio.get_running_loop()
            token = await loop.run_in_executor(self._threads[key.provider], ask)
            outcome = "granted"
        except Fault as fault:
            outcome = _outcome(fault)
            fault.quote = Redactor(secret.split("\\n"))(fault.quote)  # the lines of a key stand in JSON
            raise
        finally:
            metrics.TOKEN_REQUESTS.labels(key.provider, outcome).inc()
        return token

    def _kept(self, token_id: _TokenId, roles: AbstractSet[str], *, fresh: bool) -> AccessToken | None:
        """What we have, unless it ends soon, or another one may be better."""
        found, now = self._tokens.get(token_id), self._clock.now()
        if found is None or now >= found.expires_at - min(_BEFORE_EXPIRY, (found.expires_at - found.issued_at) / 2):
            return None
        lacking = found.roles is not None and not roles <= found.roles
        is_young = token_id[1] is None and now - found.issued_at <= _FRESH
        return None if (fresh or lacking) and not is_young else found

    def _diagnosis(self, fault: Fault, service: str) -> "Diagnosis":
        return self._table.diagnose("oauth", "token", fault.replies, Origin(service=service), "").diagnosis

    def _is_vague(self, fault: Fault, service: str) -> bool:
        """Whether it would pause the workspace, although the words may be about one of its mailboxes."""
        diagnosis = self._diagnosis(fault, service)
        return concerns_workspace(service, diagnosis) and diagnosis.confidence == "low"

    def _remember(self, scope: _Scope, fault: Fault, service: str) -> None:
        diagnosis = self._diagnosis(fault, service)
        refusal = _Refusal(fault, self._clock.now())
        unknown_to_all = service == "microsoft" and diagnosis.code == UNKNOWN  # which pauses nobody
        if concerns_workspace(service, diagnosis) or unknown_to_all:
            _keep(self._refusals, (scope[0], None), refusal, _MAX_REFUSALS)
        elif concerns_domain(diagnosis):
            self._proven.pop(scope, None)
            _keep(self._refusals, scope, refusal, _MAX_REFUSALS)

    def _refuse(self, scope: _Scope, known_since: datetime) -> None:
        expired = self._clock.now() - _REMEMBERED
        of_all = self._refusals.get((scope[0], None))
        of_domain = self._refusals.get(scope) if scope[1] else None
        if of_all is not None and of_all.at > max(expired, known_since):
            raise of_all.fault.again()
        if of_domain is not None and of_domain.at > expired:
            raise of_domain.fault.again()

    def _lock(self, name: tuple[object, ...]) -> asyncio.Lock:
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = asyncio.Lock()
        return lock

    def _turn(self, key_id: KeyId) -> asyncio.Semaphore:
        turn = self._turns.get(key_id)
        if turn is None:
            turn = self._turns[key_id] = asyncio.Semaphore(THREADS_PER_KEY)
        return turn


def _of_the_mailbox(fault: Fault) -> Fault:
    """What a refusal is about when the same key gets a token that is for no mailbox."""
    found = Fault.found("SUBJECT_REFUSED", "Google takes the key, but gives no access token for this mailbox.")
    found.quote = fault.quote
    return found


def _outcome(fault: Fault) -> str:
    """What a metric says of it."""
    if any(token.startswith("token_endpoint:") for reply in fault.replies for token in reply.tokens):
        return "failed"
    return "refused" if fault.quote else "unusable"


def _check_roles(token: AccessToken, roles: AbstractSet[str]) -> None:
    lacking = sorted(roles - token.roles) if token.roles is not None else []
    if lacking:
        raise Fault.found(f"MISSING:{lacking[0]}", f"The token lacks the role {' and '.join(lacking)}.")


def _keep(kept: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
