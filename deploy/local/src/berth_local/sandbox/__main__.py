"""Run the sandbox by itself: `python -m berth_local.sandbox [DIR]`."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from berth_local.errors import LocalStackError
from berth_local.files import write_private
from berth_local.lock import AlreadyRunning, Lock
from berth_local.sandbox.description import Sandbox
from berth_local.sandbox.server import sandbox

DESCRIPTION_FILE = "sandbox.json"


class SandboxRuns(LocalStackError):
    """Another sandbox has this directory. Use it, stop it, or give another directory."""


async def serve(directory: Path, *, quiet: bool) -> None:
    """Serve until SIGINT or SIGTERM; meanwhile DIR/sandbox.json says where everything is."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with sandbox(directory) as running:
        description = directory / DESCRIPTION_FILE
        write_private(description, running.model_dump_json(indent=2))
        if not quiet:
            print(_text(running, description), flush=True)
        try:
            await stop.wait()
        finally:
            description.unlink(missing_ok=True)


def _text(running: Sandbox, description: Path) -> str:
    lines = [
        f"DNS {', '.join(running.dns_servers)}    trust {running.authority_file}    all of it in {description}",
        "",
    ]
    for host in running.hosts:
        notes = ("" if host.trusted else "  (certificate by an unknown authority)") + (
            "" if host.dmarc else "  (no DMARC)"
        )
        lines.append(
            f"{host.name} {host.address}  IMAP {host.imap} STARTTLS, {host.imaps} TLS  "
            f"SMTP {host.submission} STARTTLS, {host.submissions} TLS{notes}"
        )
        lines += [f"    {box.address}  {box.password}" for box in running.mailboxes if box.host == host.name]
    if given := running.identity:
        application = given.microsoft
        lines += [
            "",
            f"{given.google_domain} as a Google workspace: key file {given.google_key_file}, tokens {given.google_token_url}",
            f"{given.microsoft_domain} as a Microsoft workspace: tenant {application.tenant_id}, client {application.client_id}",
            f"    secret {application.client_secret}, authority {given.microsoft_authority}",
        ]
    return "\n".join([*lines, "", "Ctrl-C stops it."])


def main() -> None:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(description="IMAP, SMTP and DNS servers on loopback, for trying Berth out.")
    parser.add_argument("directory", type=Path, nargs="?", default=Path(".run/sandbox"))
    parser.add_argument("--quiet", action="store_true", help="print nothing")
    options = parser.parse_args()
    try:
        _lock(options.directory)
        asyncio.run(serve(options.directory, quiet=options.quiet))
    except LocalStackError as error:
        sys.exit(str(error))


def _lock(directory: Path) -> Lock:
    directory.mkdir(parents=True, exist_ok=True)
    try:
        return Lock(directory / "lock")
    except AlreadyRunning as other:
        raise SandboxRuns(
            f"a sandbox runs here already (process {other.pid}), see {directory / DESCRIPTION_FILE}; stop it first"
        ) from None


if __name__ == "__main__":
    main()
