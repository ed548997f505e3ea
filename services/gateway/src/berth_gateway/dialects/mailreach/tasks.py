"""MailReach's batches, and the tasks that tell how far a batch or an import is."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request

from berth_events.runtime.database import Connection
from berth_gateway.accounts.batch import Action, Outcome
from berth_gateway.api.authentication import Reads, Writes
from berth_gateway.api.services import Provided, context_of
from berth_gateway.dialects.mailreach.account_schemas import BatchRequest, Task
from berth_gateway.dialects.mailreach.bodies import body_schema, read
from berth_gateway.dialects.mailreach.refusals import answers
from berth_gateway.dialects.mailreach.routing import Number, number_of, serving
from berth_gateway.dialects.mailreach.translation import error_text
from berth_gateway.errors import NotFound

__all__ = ["record_task", "router"]

router = APIRouter(tags=["MailReach dialect"])

_ACTIONS: Final[dict[str, Action]] = {"reconnect": "reconnect", "suspend": "suspend", "delete": "remove"}
_LOGGED: Final = 1000


async def record_task(connection: Connection, project_id: UUID, logs: Sequence[str], now: datetime) -> int:
    """Keep what was done as a task that is finished. Its number is from the series of the imports'."""
    number: int = await connection.fetchval(
        """WITH numbered AS (
               UPDATE project SET next_import_number = next_import_number + 1 WHERE project_id = $1
               RETURNING next_import_number - 1 AS number)
           INSERT INTO batch_task (project_id, number, logs, created_at) SELECT $1, number, $2, $3 FROM numbered
           RETURNING number""",
        project_id,
        list(logs),
        now,
    )
    return number


async def _batch(request: Request, services: Provided, caller: Writes) -> Task:
    """Reconnect, suspend or delete many accounts. All is done when the answer comes; the task says what became of each."""
    body = await read(request, BatchRequest)
    project_id = caller.tenant.project_id
    async with services.pool.acquire() as connection:
        known = await services.repository.by_numbers(connection, project_id, body.account_ids)
    outcomes = await services.batch.run(
        caller.tenant,
        _ACTIONS[body.action],
        [known[number] for number in body.account_ids if number in known],
        context_of(request),
    )
    by_id = {outcome.account_id: outcome for outcome in outcomes}
    logs = [
        _log(number, body.action, by_id.get(known[number]) if number in known else None) for number in body.account_ids
    ]
    async with services.pool.acquire() as connection, connection.transaction():
        number = await record_task(connection, project_id, logs, services.clock.now())
    return Task(id=number, progress=100, logs=logs, email_workspace_id=None)


async def _task(services: Provided, caller: Reads, task_id: Number) -> Task:
    """How far a batch or an import is."""
    number, project_id = number_of(task_id), caller.tenant.project_id
    async with services.pool.acquire() as connection:
        logs = await connection.fetchval(
            "SELECT logs FROM batch_task WHERE project_id = $1 AND number = $2", project_id, number
        )
        if logs is not None:
            return Task(id=number, progress=100, logs=logs, email_workspace_id=None)
        import_id = await services.import_repository.by_number(connection, project_id, number)
        view = import_id and await services.import_repository.find(connection, project_id, import_id)
        if not import_id or not view:
            raise NotFound
        rows = await services.import_repository.rows(
            connection, project_id, import_id, limit=_LOGGED, states=("rejected", "failed", "removed")
        )
    stopped = [error_text(view.rejection.meaning, view.rejection.remedy)] if view.rejection else []
    return Task(
        id=number,
        progress=view.progress.percent,
        logs=[*stopped, *(f"{row.email}: {error_text(row.detail, row.remedy)}" for row in rows)],
        email_workspace_id=view.workspace_number,
    )


def _log(number: int, action: str, outcome: Outcome | None) -> str:
    if outcome is None:
        return f"{number}: Account not found"
    if outcome.error is not None:
        return f"{number}: {outcome.error.detail}"
    return f"{number}: {action} {'done' if outcome.changed else 'was not needed'}"


_serve = serving(router, "/api/v1")
_serve("/accounts/batch", "POST", _batch, "mailreachBatch", answers(400, 413), body_schema(BatchRequest))
_serve("/tasks/{task_id}", "GET", _task, "mailreachGetTask", answers())
