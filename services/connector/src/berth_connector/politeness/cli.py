"""`berth-connector limits`: how much at once, as it holds now, and an operator's changes to it."""

import argparse
import sys
from collections.abc import Sequence

from berth_connector.cli import run_command
from berth_connector.politeness import decisions
from berth_connector.politeness.limits import (
    SCOPES,
    LimitRefused,
    checked_limit,
    checked_name,
    shipped,
    shipped_rules,
)
from berth_connector.settings import ConnectorSettings
from berth_events.runtime.budgets import Limit, Limits
from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import open_pool
from berth_events.runtime.migrations import require_migrated

__all__ = ["limits"]

_ROW = "{:<13} {:<37} {:>9} {:>10} {:>8}  {}"


def limits(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return run_command(lambda settings: _run(settings, options))
    except LimitRefused as error:
        print(f"{LimitRefused.__doc__} [{error}]", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="berth-connector limits", description="How much connectors do at once.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what holds, who says so, and which destinations are left alone")
    change = commands.add_parser("set", help="decide; connectors follow from their next claim on")
    for one in (change, commands.add_parser("reset", help="go back to what is shipped")):
        one.add_argument("scope", help=", ".join(SCOPES))
        one.add_argument("name", help="for example google, 192.0.2.7, an organization's id; * is all without a row")
    change.add_argument("--max-in-flight", type=int, metavar="N", help="runs at once; 0 stops them")
    change.add_argument("--per-minute", type=int, metavar="N", help="runs that begin in a minute")
    change.add_argument("--max-refusals", type=int, metavar="N", help="refused sign-ins in 15 minutes, then it rests")
    lift = commands.add_parser("lift", help="stop leaving a destination alone")
    lift.add_argument("destination", help="as list shows it")
    return parser


async def _run(settings: ConnectorSettings, options: argparse.Namespace) -> None:
    pool = await open_pool(settings.database(), application_name="berth-connector-limits", max_size=1)
    async with pool, pool.acquire() as connection:
        await require_migrated(connection, ["berth_connector"])
        if options.command == "list":
            decided = await decisions.decisions(connection)
            _print_limits(decided)
            limits_now = Limits(shipped_rules(settings.policy()), decided)
            _print_watched(await decisions.watched(connection, SystemClock().now()), limits_now)
        elif options.command == "lift":
            found = await decisions.lift(connection, options.destination)
            print("lifted" if found else "nothing is known of it")
        else:
            name = checked_name(options.scope, options.name)
            if options.command == "reset":
                found = await decisions.undo(connection, options.scope, name)
                print("reset" if found else "nothing had been decided")
                return
            given = {field: getattr(options, field) for field in ("max_in_flight", "per_minute", "max_refusals")}
            await decisions.decide(connection, options.scope, name, checked_limit(options.scope, given))
            print(f"set {options.scope} {name}")


def _print_limits(decided: dict[tuple[str, str], Limit]) -> None:
    print(_ROW.format("scope", "name", "in flight", "per minute", "refusals", "why"))
    for key in sorted({*shipped(), *decided}, key=lambda key: (SCOPES.index(key[0]), key[1])):
        ours = shipped().get(key)
        limit = decided.get(key, Limit()).over(ours.limit if ours else Limit())
        numbers = ["" if n is None else n for n in (limit.max_in_flight, limit.per_minute, limit.max_refusals)]
        print(_ROW.format(*key, *numbers, "decided here" if key in decided else ours.why if ours else ""))


def _print_watched(found: Sequence[decisions.Watched], limits_now: Limits) -> None:
    for one in found:
        until = (
            f"turned us away, left alone until {one.blocked_until:%Y-%m-%d %H:%M:%S %Z}" if one.blocked_until else ""
        )
        most = limits_now.of_destination(one.destination).max_refusals
        refusals = (
            f"refused {one.refusals}{f' of {most}' if most else ''} sign-ins in 15 minutes" if one.refusals else ""
        )
        print(f"{one.destination} from {one.egress or '*'}: {', '.join(filter(None, (until, refusals)))}")
