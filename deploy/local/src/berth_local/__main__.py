"""The local stack: `python -m berth_local run`, `python -m berth_local clean`."""

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from rich.console import Console

from berth_local.description import Description
from berth_local.errors import LocalStackError
from berth_local.lock import AlreadyRunning, Lock
from berth_local.run import run
from berth_local.settings import LocalSettings

#: How long a stack that was killed may take to be cleared away.
TAKE_OVER_SECONDS = 60
#: Columns of what is written to a file or a pipe.
FILE_WIDTH = 110


def main() -> int:
    """Run a command; the exit status."""
    parser = argparse.ArgumentParser(prog="berth-local", description=__doc__)
    parser.add_argument("command", choices=["run", "clean"])
    parser.add_argument("--directory", type=Path, default=Path(".run"), help="data, logs and descriptions")
    options = parser.parse_args()
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else FILE_WIDTH
    console = Console(highlight=False, soft_wrap=True, width=width)
    try:
        settings = LocalSettings.read(options.directory)
        lock = take_lock(settings, console)
        if lock is None:
            return 0 if options.command == "run" else 1
        if options.command == "clean":
            clean(settings)
        else:
            asyncio.run(until_told_to_stop(settings, lock, console))
    except LocalStackError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # before or after the time in which it stops everything in order
        return 130
    return 0


def take_lock(settings: LocalSettings, console: Console) -> Lock | None:
    """The lock of the directory; None, and a word about it, when another stack runs there."""
    settings.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    deadline = time.monotonic() + TAKE_OVER_SECONDS
    told = False
    while True:
        try:
            return Lock(settings.directory / "lock")
        except AlreadyRunning as other:
            if other.pid and is_alive(other.pid):
                found = Description.read(settings.directory)
                where = f"{found.url}, see {settings.directory}/berth.json" if found else "and is still starting"
                console.print(f"Berth runs here already (process {other.pid}): {where}. Nothing was done.")
                return None
            if time.monotonic() > deadline:
                raise LocalStackError(
                    f"what an earlier stack left in {settings.directory} does not stop; see {settings.logs}"
                ) from None
            if not told:
                told = True
                console.print("The last stack was killed; what it left is being stopped ...")
            time.sleep(0.1)


def is_alive(pid: int) -> bool:
    """Does this process exist?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def until_told_to_stop(settings: LocalSettings, lock: Lock, console: Console) -> None:
    """Run the stack until SIGINT or SIGTERM."""
    work = asyncio.create_task(run(settings, lock.descriptor, console))

    def stop() -> None:
        if not work.cancelling():  # a second Ctrl-C does not hurry what has to be done in order
            console.print("\nStopping ...")
            work.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    with contextlib.suppress(asyncio.CancelledError):
        await work
    console.print("Stopped; the data stays for the next start.")


def clean(settings: LocalSettings) -> None:
    """Delete everything that the stack keeps."""
    for directory in (settings.postgres_directory, settings.directory):
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
