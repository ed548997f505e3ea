"""How much runs at once, and who is next: limits, what they count, and a fair choice. Nothing here asks a database."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from typing import Final
from uuid import UUID

__all__ = ["NOBODY", "REFUSAL_WINDOW", "Budgets", "Candidate", "Limit", "Limits", "Rules", "Standing"]

#: Whose work it is when it is nobody's.
NOBODY: Final = UUID(int=0)
#: For how long a refusal counts.
REFUSAL_WINDOW: Final = timedelta(minutes=15)

_MINUTE: Final = timedelta(minutes=1)
#: Of a limit per minute so much may be used at once: claims are up to half a second apart.
_BURST: Final = timedelta(seconds=5)
#: What the share of an organization without a limit is measured by.
_USUAL: Final = 100
_NONE_HELD: Final = 10**9


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit; None is none, or leaves it to a more general one.

    Attributes:
        max_in_flight: runs at once; 0 stops them.
        per_minute: runs that begin in a minute, evenly; of destinations only.
        max_refusals: refused sign-ins in `REFUSAL_WINDOW` after which a destination is left alone until they are over; of
            destinations only. A destination that has let nobody in yet gets no more runs at once than that.
    """

    max_in_flight: int | None = None
    per_minute: int | None = None
    max_refusals: int | None = None

    def over(self, general: "Limit") -> "Limit":
        """This one, with the more general one's where it says nothing."""
        return Limit(
            general.max_in_flight if self.max_in_flight is None else self.max_in_flight,
            general.per_minute if self.per_minute is None else self.per_minute,
            general.max_refusals if self.max_refusals is None else self.max_refusals,
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits that a service ships.

    Attributes:
        scope_of: what a destination is, for example a mail service or an address.
        shipped: by scope and name; `*` is every name of the scope. Besides those of destinations the scopes are
            `organization` and `egress`.
    """

    scope_of: Callable[[str], str]
    shipped: Mapping[tuple[str, str], Limit]

    @classmethod
    def of_all(cls, max_in_flight: int | None) -> "Rules":
        """The same number of runs for each destination: of the scope `host` if its name has dots, else `provider`."""
        limit = Limit(max_in_flight)
        return cls(lambda name: "host" if "." in name else "provider", {("host", "*"): limit, ("provider", "*"): limit})


class Limits:
    """What holds: what an operator has decided goes before what is shipped, and a name before all names.

    Args:
        rules: what is shipped.
        decided: what the operator has decided, by scope and name.
    """

    def __init__(self, rules: Rules, decided: Mapping[tuple[str, str], Limit]) -> None:
        self._rules, self._decided = rules, decided
        self._known: dict[tuple[str, str], Limit] = {}

    def of(self, scope: str, name: str) -> Limit:
        """The limit of a name."""
        key = scope, name
        if key not in self._known:
            limit = Limit()
            for source in ((scope, name), (scope, "*")):
                limit = limit.over(self._decided.get(source, Limit())).over(self._rules.shipped.get(source, Limit()))
            self._known[key] = limit
        return self._known[key]

    def of_destination(self, destination: str) -> Limit:
        """The limit of a destination."""
        return self.of(self._rules.scope_of(destination), destination)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a destination, as seen from one egress address.

    Attributes:
        blocked_until: it has turned us away.
        next_at: when the next run is in time, by a limit per minute.
        refused_at: the last refused sign-ins.
        let_in: sign-ins that worked since.
    """

    blocked_until: datetime | None = None
    next_at: datetime | None = None
    refused_at: tuple[datetime, ...] = ()
    let_in: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row of work that is due."""

    id: UUID
    organization_id: UUID
    destination: str
    run_at: datetime


@dataclass(slots=True)
class Budgets:
    """What is running at one moment, and what may begin.

    Attributes:
        limits: what holds.
        egress: the address that runs would come from.
        now: the moment.
    """

    limits: Limits
    egress: str
    now: datetime
    _standings: dict[str, Standing] = field(default_factory=dict)
    _at: Counter[str] = field(default_factory=Counter)
    _of: Counter[UUID] = field(default_factory=Counter)
    _of_at: Counter[tuple[UUID, str]] = field(default_factory=Counter)
    _here: int = 0
    _paced: dict[str, datetime] = field(default_factory=dict)

    def count(self, organization_id: UUID, destination: str, egress: str, runs: int) -> None:
        """Note what is running. Destinations count by egress address, organizations do not."""
        self._of[organization_id] += runs
        if egress == self.egress:
            self._at[destination] += runs
            self._of_at[organization_id, destination] += runs
            self._here += runs

    def know(self, standings: Mapping[str, Standing]) -> None:
        """Take what is known of destinations; of any other nothing is."""
        self._standings.update(standings)

    def places(self) -> int:
        """How many runs may begin, wherever to."""
        most = self.limits.of("egress", self.egress or "*").max_in_flight
        return _NONE_HELD if most is None else max(0, most - self._here)

    def room_of(self, organization_id: UUID) -> int:
        """How many runs of an organization may begin."""
        most = self.limits.of("organization", str(organization_id)).max_in_flight
        if most is None or organization_id == NOBODY:
            return _NONE_HELD
        return max(0, most - self._of[organization_id])

    def room_at(self, destination: str) -> int:
        """How many runs may begin at a destination."""
        limit, standing = self.limits.of_destination(destination), self._standings.get(destination, Standing())
        if standing.blocked_until is not None and standing.blocked_until > self.now:
            return 0
        most = _NONE_HELD if limit.max_in_flight is None else limit.max_in_flight
        if limit.max_refusals is not None:
            refusals = sum(at > self.now - REFUSAL_WINDOW for at in standing.refused_at)
            # every run might be refused too
            careful = limit.max_refusals - refusals if refusals else limit.max_refusals + standing.let_in
            most = min(most, careful)
        room = max(0, most - self._at[destination])
        return room if limit.per_minute is None else min(room, self._in_time(standing, limit.per_minute))

    def full(self) -> tuple[list[str], list[UUID]]:
        """The destinations and the organizations for which nothing may begin, of all that anything is known of."""
        destinations = {*self._at, *self._standings}
        return (
            [destination for destination in destinations if not self.room_at(destination)],
            [organization_id for organization_id in self._of if not self.room_of(organization_id)],
        )

    def choose(self, candidates: Iterable[Candidate], most: int) -> list[Candidate]:
        """Who may begin, the fair way: next is always whose organization holds the smallest share, then who has waited longest.

        The chosen count as running from then on.
        """
        waiting: dict[UUID, deque[Candidate]] = defaultdict(deque)
        for candidate in sorted(candidates, key=lambda one: one.run_at):
            waiting[candidate.organization_id].append(candidate)
        heads = [(0.0, queue[0].run_at, organization_id) for organization_id, queue in waiting.items()]
        heapify(heads)
        chosen: list[Candidate] = []
        most = min(most, self.places())
        while heads and len(chosen) < most:
            share, _, organization_id = heappop(heads)
            queue = waiting[organization_id]
            while queue and not self.room_at(queue[0].destination):
                queue.popleft()
            if not queue or not self.room_of(organization_id):
                continue
            now_held = self._share(queue[0])
            if now_held <= share:
                chosen.append(queue.popleft())
                self.begin(chosen[-1])
            if queue:
                heappush(heads, (self._share(queue[0]), queue[0].run_at, organization_id))
        return chosen

    def paced(self) -> dict[str, datetime]:
        """When the next run is in time, of the destinations with a limit per minute at which runs began."""
        return self._paced

    def _share(self, candidate: Candidate) -> float:
        """What the organization holds of its own places, and of the destination's."""
        mine = self.limits.of("organization", str(candidate.organization_id)).max_in_flight or _USUAL
        theirs = self.limits.of_destination(candidate.destination).max_in_flight or _USUAL
        held = self._of_at[candidate.organization_id, candidate.destination]
        return self._of[candidate.organization_id] / mine + held / theirs

    def begin(self, candidate: Candidate) -> None:
        """Count a run that begins."""
        self.count(candidate.organization_id, candidate.destination, self.egress, 1)
        per_minute = self.limits.of_destination(candidate.destination).per_minute
        if per_minute is not None:
            standing = self._standings.get(candidate.destination, Standing())
            self._paced[candidate.destination] = next_at = self._base(standing) + _MINUTE / per_minute
            self._standings[candidate.destination] = replace(standing, next_at=next_at)

    def _in_time(self, standing: Standing, per_minute: int) -> int:
        ahead = self.now - self._base(standing)
        return 0 if ahead < timedelta() else ahead // (_MINUTE / per_minute) + 1

    def _base(self, standing: Standing) -> datetime:
        earliest = self.now - _BURST
        return max(standing.next_at or earliest, earliest)
