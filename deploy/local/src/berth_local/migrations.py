"""Bring the databases of all services to this version: one process, because starting Python is most of the work.

MIGRATE='{"gateway": DSN, ...}' python -m berth_local.migrations
"""

import asyncio
import json
import os
from importlib import import_module

from berth_events.runtime.service import migrate_service
from berth_local.services import SERVICES


async def migrate_all(dsn_of: dict[str, str]) -> None:
    """Migrate side by side; the databases have nothing in common."""
    async with asyncio.TaskGroup() as group:
        for service in SERVICES:
            definition = import_module(f"{service.package}.bootstrap").SERVICE
            group.create_task(migrate_service(definition, dsn_of[service.name]))


if __name__ == "__main__":
    asyncio.run(migrate_all(json.loads(os.environ["MIGRATE"])))
