"""Bring the databases of all services to this version: one process, because starting Python is most of the work.

MIGRATE='{"gateway": DSN, ...}' python -m berth_local.migrations
"""

import asyncio
import json
import os
import sys
from importlib import import_module

from berth_events.runtime.migrations import MigrationChanged
from berth_events.runtime.service import migrate_service
from berth_local.services import SERVICES


async def migrate_all(dsn_of: dict[str, str]) -> None:
    """Migrate side by side; the databases have nothing in common."""
    definitions = {service.name: import_module(f"{service.package}.bootstrap").SERVICE for service in SERVICES}
    await asyncio.gather(*(migrate_service(definition, dsn_of[name]) for name, definition in definitions.items()))


if __name__ == "__main__":
    try:
        asyncio.run(migrate_all(json.loads(os.environ["MIGRATE"])))
    except MigrationChanged as error:
        sys.exit(f"the data was made by another version of {error}, which cannot be upgraded; `make clean` begins anew")
