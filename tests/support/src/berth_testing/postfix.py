"""A Postfix of one's own: submission on 127.0.0.1, passwords checked by Dovecot, which also gets the mail to the bed's domains.

spam@ gets it in the folder Junk, lost@ never; all other mail is discarded.
"""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from berth_testing.dovecot import SASL_SOCKET
from berth_testing.servers import Daemon, fill

__all__ = ["PORTS", "postfix"]

#: STARTTLS, TLS, and where Dovecot's submission service delivers without authentication.
PORTS: Final = ("smtp", "smtps", "relay")


def postfix(directory: Path, tls: Path, dovecot: Path, ports: Mapping[str, int]) -> Daemon:
    """Write the configuration below `directory`, which is made; the server that runs it. Its master needs root.

    Args:
        directory: its own.
        tls: the certificates.
        dovecot: Dovecot's directory.
        ports: of PORTS.
    """
    for folder in ("queue", "data", "etc"):
        (directory / folder).mkdir(parents=True)
    shutil.chown(directory / "data", "postfix", "postfix")
    log = directory / "log"
    values = {"directory": directory, "log": log, "tls": tls, "sasl": dovecot / SASL_SOCKET}
    (directory / "etc/main.cf").write_text(fill("main.cf", values))
    (directory / "etc/master.cf").write_text(fill("master.cf", {**ports, "dovecot": dovecot / "dovecot.conf"}))
    (directory / "etc/header_checks").write_text(fill("header_checks", {}))
    # makes the queue; then the master itself, because `postfix start-fg` leaves it behind when it is ended
    subprocess.run(["/usr/sbin/postfix", "-c", directory / "etc", "check"], check=True, capture_output=True)
    return Daemon(["/usr/lib/postfix/sbin/master", "-c", directory / "etc", "-s"], log)
