"""What `make run` shows: the table of the demo's results, and how to go on."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from rich.box import HORIZONTALS
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from berth_local.demo import SCENARIOS, Account, is_complete
from berth_local.description import DESCRIPTION_FILE, SHELL_FILE, Description
from berth_local.sandbox.description import Sandbox
from berth_local.sandbox.hosts import LOW_PORTS, SPARE_MAILBOX

__all__ = ["Results", "how_to_go_on"]

SHOWN_SEVERITIES = ("critical", "high")
#: True of every host of the sandbox, which is on loopback, and what follows from other findings; the API shows them.
NOT_SHOWN = frozenset({"MX_PRIVATE_ADDRESS", "BULK_SENDER_NOT_READY"})
MARKS = {"pass": ("ok", "green"), "fail": ("fails", "red"), "unknown": ("?", "yellow")}
STATUS_STYLES = {"connected": "green", "pending": "yellow"}


class Results:
    """The table, which fills before the user's eyes on a terminal, and is printed once elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=10, transient=False) if console.is_terminal else None
        self._last: Sequence[Account] = ()

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
        else:
            self._console.print(table(self._last))

    def show(self, accounts: Sequence[Account]) -> None:
        """Show the accounts as they are now."""
        self._last = accounts
        if self._live:
            self._live.update(table(accounts))


def table(accounts: Sequence[Account]) -> Table:
    """One row for each mailbox: what is the matter with it, and what Berth found."""
    shown = Table(box=HORIZONTALS, show_lines=True, expand=True)
    shown.add_column("mailbox", width=22, overflow="fold")
    shown.add_column("account", width=9)
    shown.add_column("domain", width=11)
    shown.add_column("what Berth says", overflow="fold")
    by_address = {account["email"]: account for account in accounts}
    for scenario in SCENARIOS:
        if account := by_address.get(scenario.address):
            mailbox = Text.assemble((scenario.address, "bold"), f"\n{scenario.matter}")
            shown.add_row(mailbox, _status(account), _checks(account), _said(account))
    return shown


def _status(account: Account) -> Text:
    return Text(account["status"], STATUS_STYLES.get(account["status"], "red"))


def _checks(account: Account) -> Text:
    if not is_complete(account) and account["domain"]["last_check_at"] is None:
        return Text("pending", "yellow")
    lines = []
    for name, state in account["domain"]["checks"].items():
        mark, style = MARKS.get(state, (state, ""))
        lines.append(Text.assemble(f"{name.upper():<6}", (mark, style)))
    return Text("\n").join(lines)


def _said(account: Account) -> Text:
    lines = []
    if diagnosis := account["diagnosis"]:
        lines.append(Text.assemble((diagnosis["code"], "bold"), f" {diagnosis['meaning']}"))
        lines.append(Text(f"-> {diagnosis['remedy']}", "cyan"))
    lines += [
        Text.assemble((finding["code"], "bold"), f" {finding['subject']} ({finding['severity']})")
        for finding in account["domain"]["findings"]
        if finding["severity"] in SHOWN_SEVERITIES and finding["code"] not in NOT_SHOWN
    ]
    return Text("\n").join(lines or [Text("nothing to mend" if is_complete(account) else "")])


def how_to_go_on(running: Description, directory: Path) -> str:
    """URL, key and the lines to try next; they work as they stand, in the working directory of `make run`."""
    key = '-H "Authorization: Bearer $BERTH_KEY"'
    played = _at_gmail(running.sandbox, key) if running.sandbox.providers else ""
    refused = running.demo.accounts["grace@acme.test"]
    return f"""
Berth    {running.url}    API reference {running.url}/docs
API key  {running.demo.api_key}

  . {_shell_path(directory / SHELL_FILE)}

  curl -s "$BERTH_URL/v1/accounts" {key}

  curl -s "$BERTH_URL/v1/accounts/{refused}/verification" {key}

  curl -s "$BERTH_URL/v1/accounts" {key} -H 'Content-Type: application/json' \\
    -d '{{"email": "{SPARE_MAILBOX}", "provider": "custom", "password": "'"$BERTH_SANDBOX_PASSWORD"'",
         "imap": {{"host": "imap.acme.test", "port": '"$BERTH_SANDBOX_IMAP_PORT"', "security": "tls"}},
         "smtp": {{"host": "smtp.acme.test", "port": '"$BERTH_SANDBOX_SMTP_PORT"', "security": "starttls"}}}}'
{played}
Everything that runs is in {_shell_path(directory / DESCRIPTION_FILE)}. Ctrl-C stops it."""


def _at_gmail(sandbox: Sandbox, key: str) -> str:
    gmail = next(provider for provider in sandbox.providers if provider.name == "google")
    servers, hint = "", "their names decide what goes wrong"
    if not gmail.on_standard_ports:
        servers = (
            f',\n         "imap": {{"host": "imap.gmail.com", "port": {gmail.imaps}, "security": "tls"}},'
            f'\n         "smtp": {{"host": "smtp.gmail.com", "port": {gmail.submission}, "security": "starttls"}}'
        )
        hint += f";\nthe usual mail ports are taken or not for this user, so that servers have to be named: {LOW_PORTS}"
    return f"""
Gmail and others are played here, not dialled. `make mailboxes` lists the mailboxes that there are; {hint}.

  curl -s "$BERTH_URL/v1/accounts" {key} -H 'Content-Type: application/json' \\
    -d '{{"email": "imap-disabled@gmail.com", "provider": "gmail", "password": "{sandbox.provider_password}"{servers}}}'
"""


def _shell_path(path: Path) -> str:
    """Shorter, when it is below the working directory."""
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))
