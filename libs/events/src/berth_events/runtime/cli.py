"""The command line that every service has: migrate, serve, parked, projections."""

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict

from pydantic import ValidationError

from berth_events.contracts import InvalidRecord
from berth_events.runtime.bus import BusError
from berth_events.runtime.buses import NoBus
from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import open_pool
from berth_events.runtime.logs import configure_logs
from berth_events.runtime.migrations import MigrationChanged, NotMigrated, require_migrated
from berth_events.runtime.parking import NothingParked, Parking
from berth_events.runtime.projection import SequenceGap
from berth_events.runtime.rebuild import Rebuild, RebuildRunning, RebuildStopped
from berth_events.runtime.service import Service, migrate_service, serve
from berth_events.runtime.settings import ServiceSettings

__all__ = ["run_command_line"]

#: What an operator can do something about; the docstring says what.
_EXPLAINED = (
    BusError,
    InvalidRecord,
    MigrationChanged,
    NoBus,
    NotMigrated,
    NothingParked,
    RebuildRunning,
    RebuildStopped,
    SequenceGap,
)


def run_command_line(
    service: Service, arguments: Sequence[str] | None = None, *, others: Sequence[tuple[str, str]] = ()
) -> int:
    """Run one command of a service; the exit status. `others`, with their help, are listed and run by whoever calls this."""
    options = _parser(service, others).parse_args(arguments)
    try:
        settings = service.settings()
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            name = "_".join(str(part) for part in fault["loc"]).upper()
            print(f"{name}: {fault['msg']} (an environment variable)", file=sys.stderr)
        return 2
    configure_logs(settings.log_level, service.name)
    try:
        _loop_runner(_command(service, settings, options))
    except _EXPLAINED as error:
        print(f"{type(error).__doc__} [{error}]", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"A server cannot be reached. Check DATABASE_URL. [{error}]", file=sys.stderr)
        return 1
    return 0


def _loop_runner(main: "asyncio._CoroutineLike[None]") -> None:
    try:
        import uvloop  # noqa: PLC0415 - absent on Windows
    except ImportError:
        asyncio.run(main)  # type: ignore[arg-type]
    else:
        uvloop.run(main)  # type: ignore[arg-type]


def _parser(service: Service, others: Sequence[tuple[str, str]]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"berth-{service.name}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("migrate", help="bring the database to this version (as its owner: MIGRATE_DATABASE_URL)")
    commands.add_parser("serve", help="run until SIGTERM")
    parked = commands.add_parser("parked", help="events that could not be applied").add_subparsers(
        dest="action", required=True
    )
    parked.add_parser("list", help="parked keys, oldest first")
    for action, text in (
        ("show", "the parked events of a key"),
        ("replay", "apply the parked events of a key in order, then unblock it"),
        ("discard", "drop the parked events of a key for good and unblock it"),
    ):
        one = parked.add_parser(action, help=text)
        one.add_argument("consumer")
        one.add_argument("topic")
        one.add_argument("key")
        if action == "discard":
            one.add_argument(
                "--first", action="store_true", help="only the first; then `replay` applies those behind it"
            )
    if service.rebuildable:
        projections = commands.add_parser("projections", help="read models").add_subparsers(
            dest="action", required=True
        )
        rebuild = projections.add_parser("rebuild", help="fill new tables beside the old, then switch (as the owner)")
        rebuild.add_argument("name", choices=[projection.name for projection in service.rebuildable])
    for name, text in others:
        commands.add_parser(name, help=text)
    return parser


async def _command(service: Service, settings: ServiceSettings, options: argparse.Namespace) -> None:
    if options.command == "serve":
        await serve(service, settings)
    elif options.command == "migrate":
        for name in await migrate_service(service, settings.owner_database()):
            print(f"applied {name}")
    elif options.command == "parked":
        await _parked(service, settings, options)
    else:
        await _rebuild(service, settings, options.name)


async def _parked(service: Service, settings: ServiceSettings, options: argparse.Namespace) -> None:
    parking = Parking(SystemClock())
    async with service.build(settings) as parts, parts.pool.acquire() as connection, connection.transaction():
        await require_migrated(connection, service.packages)
        if options.action == "list":
            for key in await parking.keys(connection):
                print(json.dumps(asdict(key), default=str))
            return
        place = (options.consumer, options.topic, options.key)
        if options.action == "show":
            for event in await parking.show(connection, *place):
                print(json.dumps(event))
        elif options.action == "discard":
            discarded = await parking.discard(connection, *place, first_only=options.first)
            print(f"discarded {discarded} {'event' if discarded == 1 else 'events'}")
        else:
            found = [p for p in parts.projections if re.fullmatch(re.escape(p.name) + r"(_v\d+)?", options.consumer)]
            if not found:
                raise NothingParked(f"no consumer {options.consumer} in {service.name}")
            [projection] = found
            if projection.name != options.consumer:  # a version of a rebuildable one: its tables are in its schema
                await connection.execute("SELECT set_config('search_path', $1, true)", f"{options.consumer}, public")
            replayed = await parking.replay(connection, projection, *place)
            print(f"replayed {replayed} {'event' if replayed == 1 else 'events'}")


async def _rebuild(service: Service, settings: ServiceSettings, name: str) -> None:
    projection = next(p for p in service.rebuildable if p.name == name)
    pool = await open_pool(settings.owner_database(), application_name=f"berth-{service.name}-rebuild")
    try:
        async with service.build(settings) as parts:
            async with pool.acquire() as connection:
                await require_migrated(connection, service.packages)
            clock = parts.clock
            number = await Rebuild(pool, parts.bus, projection, Parking(clock), clock, service.role).run()
        print(f"{name}: version {number} is active")
    finally:
        await pool.close()
