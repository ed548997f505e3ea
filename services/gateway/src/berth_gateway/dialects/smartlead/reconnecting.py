"""Having all failed accounts of a project tried again, which a project may do three times in 24 hours."""

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from berth_gateway import feed
from berth_gateway.dialects.smartlead.refusals import Refused

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection
    from berth_events.runtime.store import Context
    from berth_gateway.accounts.changes import Changes
    from berth_gateway.accounts.mailboxes import Tenant

__all__ = ["Reconnecting"]

_AT_MOST: Final = 3
_WITHIN: Final = timedelta(hours=24)
# `ok` is true in both of SmartLead's errors
_TOO_OFTEN: Final = {"ok": True, "message": "Bulk reconnect API cannot be consumed more than 3 times a day"}
_NONE: Final = {"ok": True, "message": "No failed email account found!"}


class Reconnecting:
    """Asks for verifications, inside the caller's transaction.

    Args:
        changes: asks for one account.
        clock: time.
    """

    def __init__(self, changes: "Changes", clock: "Clock") -> None:
        self._changes, self._clock = changes, clock

    async def reconnect(self, connection: "Connection", tenant: "Tenant", context: "Context") -> None:
        """Have every account that does not work, and is not suspended, verified again.

        What was refused within the last minute is left alone: see `Changes.verify`. Only calls that find a failed account count.

        Raises:
            Refused: it was done three times already, or there is none.
        """
        now = self._clock.now()
        # one at a time: two at once would both be the third
        await connection.execute("SELECT FROM project WHERE project_id = $1 FOR NO KEY UPDATE", tenant.project_id)
        await connection.execute(
            "DELETE FROM bulk_reconnect WHERE project_id = $1 AND asked_at <= $2", tenant.project_id, now - _WITHIN
        )
        asked: int = await connection.fetchval(
            "SELECT count(*) FROM bulk_reconnect WHERE project_id = $1", tenant.project_id
        )
        if asked >= _AT_MOST:
            raise Refused(406, _TOO_OFTEN)
        rows = await connection.fetch(
            """SELECT a.account_id FROM account a
                 JOIN verification v ON v.account_id = a.account_id AND v.credential_id = a.credential_id
                WHERE a.project_id = $1 AND a.removed_at IS NULL AND NOT a.suspended AND v.status IN ('failed', 'disconnected')
                ORDER BY a.account_id""",
            tenant.project_id,
        )
        if not rows:
            raise Refused(404, _NONE)
        await connection.execute("INSERT INTO bulk_reconnect VALUES ($1, $2)", tenant.project_id, now)
        await feed.publish(
            connection,
            await self._changes.verify_all(connection, tenant, [row["account_id"] for row in rows], context),
        )
