"""A Dovecot of one's own: IMAP and submission, as the user `nobody`, on six loopback addresses."""

import grp
import pwd
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from berth_testing.certificates import HOSTS
from berth_testing.mail_users import passwd_file
from berth_testing.servers import Daemon, fill

__all__ = ["PORTS", "SASL_SOCKET", "dovecot"]

#: The services that listen: STARTTLS and TLS of each.
PORTS: Final = ("imap", "imaps", "submission", "submissions")
#: Where Postfix asks Dovecot for passwords, below Dovecot's directory.
SASL_SOCKET: Final = "run/auth-postfix"
_USER: Final = "nobody"
_OAUTH_FILES: Final = ("oauth.conf", "oauth2.conf.ext", "tokens.lua")
#: The addresses that show another certificate than `good`: the host's first label names it.
_OTHERS: Final = {
    name.split(".")[0]: address for name, address in HOSTS.items() if not name.startswith(("mail.", "remote."))
}


def dovecot(directory: Path, tls: Path, ports: Mapping[str, int], oauth: Mapping[str, object] | None = None) -> Daemon:
    """Write the configuration below `directory`; the server that runs it.

    Args:
        directory: to be made; a short path, because unix sockets lie below it.
        tls: the certificates.
        ports: of PORTS, and `relay`, where accepted mail goes.
        oauth: `introspection` (a URL) and `tokens` (a directory), when access tokens are taken too.
    """
    account = pwd.getpwnam(_USER)
    for folder in ("run", "mail", "home"):
        (directory / folder).mkdir(parents=True)
    values = {
        "directory": directory,
        "log": directory / "log",
        "tls": tls,
        "user": _USER,
        "group": grp.getgrgid(account.pw_gid).gr_name,
        "uid": account.pw_uid,
        "gid": account.pw_gid,
        "addresses": ", ".join(HOSTS.values()),
        "certificates": "\n".join(_certificate(tls, name, address) for name, address in _OTHERS.items()),
        **ports,
    }
    (directory / "dovecot.conf").write_text(fill("dovecot.conf", values))
    (directory / "failing.lua").write_text(fill("failing.lua", {}))
    (directory / "users").write_text(passwd_file())
    for name in _OAUTH_FILES if oauth else ():
        (directory / name).write_text(fill(name, {**values, **(oauth or {})}))
    for path in [directory, *directory.iterdir(), *tls.iterdir()]:
        shutil.chown(path, account.pw_uid, account.pw_gid)
    return Daemon(["/usr/sbin/dovecot", "-F", "-c", directory / "dovecot.conf"], directory / "log", user=_USER)


def _certificate(tls: Path, name: str, address: str) -> str:
    return f"local {address} {{\n  ssl_cert = <{tls}/{name}.crt\n  ssl_key = <{tls}/{name}.key\n}}"
