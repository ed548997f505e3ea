"""The mailboxes of the played providers, for people: what is said to each, and the diagnosis that follows."""

from collections.abc import Iterator
from typing import Final

from berth_local.sandbox.providers.mailboxes import PASSWORD, Casting, Played

__all__ = ["listing"]

_SHOWN: Final = 100
#: How a client may sign in, and what it is called behind the protocol.
_WAYS: Final = ((False, ""), (True, " by token"))


def listing(casting: Casting) -> str:
    """Everything there is, as text."""
    lines = [f"Every mailbox has the password {PASSWORD}. Behind a plus sign anything may stand: works+17@gmail.com."]
    for provider, mailboxes in casting.mailboxes.items():
        services = [service for service in casting.services if service.provider == provider]
        hosts = dict.fromkeys(host for service in services for host in (*service.imap, *service.smtp))
        domains = [domain for service in services for domain in service.domains]
        lines += ["", f"{casting.names[provider]}    {' '.join(hosts)}", f"  @ {' '.join(domains)}", ""]
        for played in mailboxes.values():
            lines += _of_mailbox(played)
    return "\n".join(lines)


def _of_mailbox(played: Played) -> Iterator[str]:
    said: dict[str, list[str]] = {}
    for protocol in ("imap", "smtp"):
        for by_token, way in _WAYS:
            if (line := played.line(protocol, by_token=by_token)) is not None:
                at = "" if line.step.startswith("auth") else f" at {line.step}"
                words = line.words.decode().removeprefix("TAG ").replace("\r\n", " ").strip()
                said.setdefault(words, []).append(f"{protocol.upper()}{way}{at}")
    of_one_row = "." in played.name or "_" in played.name
    yield f"  {played.name}    {played.rules[0].code}" if of_one_row else f"  {played.name}"
    for words, ways in said.items():
        text = f"{', '.join(ways)}: {words}"
        yield f"      {text if len(text) <= _SHOWN else text[: _SHOWN - 1] + '…'}"
