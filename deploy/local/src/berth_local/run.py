"""`make run`: start the stack, show the demo, keep it running."""

import os
import time

from rich.console import Console

from berth_local.demo import RESULT_SECONDS, connect_demo, watch
from berth_local.description import Demo, Description
from berth_local.report import Results, how_to_go_on
from berth_local.services import GATEWAY_PORT
from berth_local.settings import LocalSettings
from berth_local.stack import Running, stack
from berth_local.steps import Steps

__all__ = ["run"]


async def run(settings: LocalSettings, lock_descriptor: int, console: Console) -> None:
    """Run until cancelled, or until a part ends.

    Raises:
        LocalStackError: something is missing, does not start or ended.
    """
    began = time.monotonic()
    Description.remove(settings.directory)
    try:
        async with stack(settings, lock_descriptor, Steps(console)) as running:
            if not running.url.endswith(f":{GATEWAY_PORT}"):
                console.print(f"Port {GATEWAY_PORT} is taken by another program; the gateway is on {running.url}.")
            demo = await running.children.while_running(connect_demo(running))
            console.print()
            with Results(console) as results:
                complete = await running.children.while_running(watch(running, demo, results.show))
            seconds = time.monotonic() - began
            console.print(
                f"Four results after {seconds:.1f} s."
                if complete
                else f"Not everything was answered within {RESULT_SECONDS} s; the logs are in {settings.logs}."
            )
            description = describe(running, demo)
            description.write(settings.directory)
            console.print(how_to_go_on(description, settings.directory))
            await running.until_a_part_ends()
    finally:
        Description.remove(settings.directory)


def describe(running: Running, demo: Demo) -> Description:
    """What runs where."""
    return Description(
        pid=os.getpid(),
        url=running.url,
        bus=running.settings.bus,
        bus_url=None if running.kafka_bootstrap else running.databases.dsn("bus"),
        kafka_bootstrap=running.kafka_bootstrap,
        postgres_url=running.databases.admin,
        operator_key=running.secrets.operator_key,
        internal_token=running.secrets.internal_token,
        services=running.services,
        sandbox=running.sandbox,
        demo=demo,
    )
