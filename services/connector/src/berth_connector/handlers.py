"""Which handler performs which kind of work."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from berth_events.runtime.database import Connection
    from berth_events.runtime.work import Job
    from berth_events.runtime.worker_pool import WorkHandler

__all__ = ["Handlers"]


class Handlers:
    """Hands each job to the handler of its kind.

    Args:
        by_kind: the handlers.
    """

    def __init__(self, by_kind: "Mapping[str, WorkHandler[Any]]") -> None:
        self._by_kind = dict(by_kind)

    async def perform(self, job: "Job") -> Any:
        """Do it."""
        return await self._by_kind[job.kind].perform(job)

    async def record(self, connection: "Connection", job: "Job", result: Any) -> None:
        """Write the result."""
        await self._by_kind[job.kind].record(connection, job, result)
