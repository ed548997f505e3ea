"""Consumer groups of the embedded bus: who is a member, who owns which partition."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from berth_events.runtime.balance import balance
from berth_events.runtime.bus import BusError, Partition
from berth_events.runtime.database import Connection, Pool

__all__ = ["Group", "SessionEnded", "Share"]


class SessionEnded(BusError):
    """The group gave this member's partitions away, since it gave no sign of life for too long. Join with a new consumer."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a member of a group has.

    Attributes:
        epoch: of the group, see `Group.changed`.
        owned: the partitions that are the member's.
        leaving: those of them which it shall release.
    """

    epoch: int
    owned: frozenset[Partition]
    leaving: frozenset[Partition]


@dataclass(frozen=True, slots=True)
class Group:
    """One member's view of its group. All times are the database's.

    Attributes:
        pool: of the bus.
        name: the group.
        member: the member's id, new for every session.
        topics: what the member reads.
        session_timeout: seconds without `renew` after which the member's partitions are given away.
    """

    pool: Pool
    name: str
    member: UUID
    topics: Sequence[str]
    session_timeout: float

    async def join(self) -> None:
        """Become a member, which owns nothing yet."""
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO bus.consumer_group (name) VALUES ($1) ON CONFLICT DO NOTHING", self.name
            )
            await self._lock(connection)
            await connection.execute(
                "INSERT INTO bus.member (id, group_name, topics, expires_at)"
                " VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4)) ON CONFLICT DO NOTHING",
                self.member,
                self.name,
                list(self.topics),
                self.session_timeout,
            )
            await self._note_change(connection)

    async def renew(self) -> None:
        """Give a sign of life.

        Raises:
            SessionEnded: it comes too late.
        """
        renewed = await self.pool.execute(
            "UPDATE bus.member SET expires_at = clock_timestamp() + make_interval(secs => $2)"
            " WHERE id = $1 AND expires_at > clock_timestamp()",
            self.member,
            self.session_timeout,
        )
        if renewed == "UPDATE 0":
            raise SessionEnded(f"the session of a member of {self.name} ended")

    async def changed(self, epoch: int) -> bool:
        """Whether members or assignments of the group are others than at this epoch, or a member's session is over."""
        return bool(
            await self.pool.fetchval(
                "SELECT epoch <> $2 OR EXISTS (SELECT FROM bus.member"
                " WHERE group_name = $1 AND expires_at < clock_timestamp()) FROM bus.consumer_group WHERE name = $1",
                self.name,
                epoch,
            )
        )

    async def sync(self) -> Share:
        """Remove members whose session is over, balance, and take what is free and meant for this member.

        Raises:
            SessionEnded: this member's session is over.
        """
        async with self.pool.acquire() as connection, connection.transaction():
            epoch = await self._lock(connection)
            changed = await self._expire(connection)
            members = {
                row["id"]: row["topics"]
                for row in await connection.fetch("SELECT id, topics FROM bus.member WHERE group_name = $1", self.name)
            }
            changed |= await self._aim(connection, members)
            changed |= await self._take(connection)
            if changed:
                await self._note_change(connection)
            rows = await connection.fetch(
                "SELECT topic, number, target FROM bus.assignment WHERE group_name = $1 AND owner = $2",
                self.name,
                self.member,
            )
        if self.member not in members:
            raise SessionEnded(f"the session of a member of {self.name} ended")
        return Share(
            epoch=epoch + changed,
            owned=frozenset(Partition(row["topic"], row["number"]) for row in rows),
            leaving=frozenset(Partition(row["topic"], row["number"]) for row in rows if row["target"] != self.member),
        )

    async def release(self, partitions: Collection[Partition]) -> None:
        """Own these partitions no longer."""
        async with self.pool.acquire() as connection, connection.transaction():
            await self._lock(connection)
            await connection.execute(
                "UPDATE bus.assignment SET owner = NULL WHERE group_name = $1 AND owner = $2"
                " AND (topic, number) IN (SELECT * FROM unnest($3::text[], $4::int[]))",
                self.name,
                self.member,
                [p.topic for p in partitions],
                [p.number for p in partitions],
            )
            await self._note_change(connection)

    async def leave(self) -> None:
        """End the membership."""
        async with self.pool.acquire() as connection, connection.transaction():
            await self._lock(connection)
            await connection.execute("DELETE FROM bus.member WHERE id = $1", self.member)
            await connection.execute(
                "UPDATE bus.assignment SET owner = NULL WHERE group_name = $1 AND owner = $2", self.name, self.member
            )
            await self._note_change(connection)

    async def _lock(self, connection: Connection) -> int:
        return int(
            await connection.fetchval("SELECT epoch FROM bus.consumer_group WHERE name = $1 FOR UPDATE", self.name)
        )

    async def _note_change(self, connection: Connection) -> None:
        await connection.execute("UPDATE bus.consumer_group SET epoch = epoch + 1 WHERE name = $1", self.name)

    async def _expire(self, connection: Connection) -> bool:
        gone = await connection.fetch(
            "DELETE FROM bus.member WHERE group_name = $1 AND expires_at < clock_timestamp() RETURNING id", self.name
        )
        await connection.execute(
            "UPDATE bus.assignment SET owner = NULL WHERE group_name = $1 AND owner = ANY($2::uuid[])",
            self.name,
            [row["id"] for row in gone],
        )
        return bool(gone)

    async def _aim(self, connection: Connection, members: Mapping[UUID, Collection[str]]) -> bool:
        """Set who shall own what; whether that differs from before."""
        topics = sorted({topic for topics in members.values() for topic in topics})
        known = await connection.fetch("SELECT topic, number FROM bus.partition WHERE topic = ANY($1)", topics)
        before = {
            Partition(row["topic"], row["number"]): row["target"]
            for row in await connection.fetch(
                "SELECT topic, number, target FROM bus.assignment WHERE group_name = $1", self.name
            )
        }
        partitions = {Partition(row["topic"], row["number"]) for row in known} | before.keys()
        targets = balance(partitions, members, before)
        moved = [partition for partition in partitions if targets[partition] != before.get(partition)]
        await connection.execute(
            "INSERT INTO bus.assignment (group_name, topic, number, target)"
            " SELECT $1, * FROM unnest($2::text[], $3::int[], $4::uuid[])"
            " ON CONFLICT (group_name, topic, number) DO UPDATE SET target = excluded.target",
            self.name,
            [p.topic for p in moved],
            [p.number for p in moved],
            [targets[p] for p in moved],
        )
        return bool(moved)

    async def _take(self, connection: Connection) -> bool:
        taken = await connection.execute(
            "UPDATE bus.assignment SET owner = $2 WHERE group_name = $1 AND target = $2 AND owner IS NULL",
            self.name,
            self.member,
        )
        return taken != "UPDATE 0"
