"""Run the sandbox by itself: `python -m berth_local.sandbox [DIR]`."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from berth_connector.diagnosis import DiagnosisTable
from berth_local.errors import LocalStackError
from berth_local.files import exports, write_private
from berth_local.lock import AlreadyRunning, Lock
from berth_local.sandbox.description import Sandbox
from berth_local.sandbox.hosts import LOW_PORTS
from berth_local.sandbox.providers.listing import listing
from berth_local.sandbox.providers.mailboxes import Casting
from berth_local.sandbox.server import sandbox
from berth_local.settings import chosen_providers

DESCRIPTION_FILE = "sandbox.json"
SHELL_FILE = "env"


class SandboxRuns(LocalStackError):
    """Another sandbox has this directory. Use it, stop it, or give another directory."""


async def serve(directory: Path, *, providers: bool, quiet: bool) -> None:
    """Serve until SIGINT or SIGTERM; meanwhile DIR/sandbox.json says where everything is, and DIR/env tells it to services."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with sandbox(directory, providers=providers) as running:
        description, shell = directory / DESCRIPTION_FILE, directory / SHELL_FILE
        write_private(shell, exports(running.settings()))
        write_private(description, running.model_dump_json(indent=2))
        if not quiet:
            print(_text(running, description), flush=True)
        try:
            await stop.wait()
        finally:
            description.unlink(missing_ok=True)
            shell.unlink(missing_ok=True)


def _text(running: Sandbox, description: Path) -> str:
    lines = [
        f"DNS {', '.join(running.dns_servers)}    trust {running.authority_file}    all of it in {description}",
        f"For services of your own:  . {description.with_name(SHELL_FILE)}",
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
    lines += ["", *_providers(running)]
    return "\n".join([*lines, "", "Ctrl-C stops it."])


def _providers(running: Sandbox) -> Iterator[str]:
    if not running.providers:
        yield "No providers are played: their names lead to them (PROVIDERS=real)."
        return
    if not all(provider.on_standard_ports for provider in running.providers):
        yield f"The usual mail ports are taken or not for this user; {LOW_PORTS}."
    yield f"Played, each with works@ and mailboxes that fail, which `make mailboxes` lists; password {running.provider_password}"
    for provider in running.providers:
        yield (
            f"    {provider.imap_hosts[0]} {provider.imaps} TLS, {provider.imap} STARTTLS  "
            f"{provider.smtp_hosts[0]} {provider.submissions} TLS, {provider.submission} STARTTLS  @{provider.domains[0]}"
        )


def main() -> None:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(description="IMAP, SMTP and DNS servers on loopback, for trying Berth out.")
    parser.add_argument("directory", type=Path, nargs="?", default=Path(".run/sandbox"))
    parser.add_argument("--quiet", action="store_true", help="print nothing")
    parser.add_argument("--mailboxes", action="store_true", help="list the mailboxes of the played providers, and end")
    options = parser.parse_args()
    if options.mailboxes:
        print(listing(Casting(DiagnosisTable.load())))
        return
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # at every sign-in aiosmtpd warns of what it does itself
    try:
        _lock(options.directory)
        asyncio.run(serve(options.directory, providers=chosen_providers() != "real", quiet=options.quiet))
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
