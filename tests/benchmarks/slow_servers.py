"""IMAP and SMTP over TLS on loopback that wait before every reply: `python -m benchmarks.slow_servers FOLDER`.

Issues its certificates in the new folder and prints the ports as JSON, and how long a verification takes.
"""

import asyncio
import json
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import uvloop

from berth_testing.certificates import issue_certificates

__all__: list[str] = []

_WAIT_S: Final = 3.0
#: How often a verification waits at each.
_REPLIES: Final = {"imap": 5, "smtp": 4}
_CAPABILITIES: Final = "IMAP4rev1 SASL-IR ID AUTH=PLAIN"


def _imap(command: str) -> str:
    tag, _, rest = command.partition(" ")
    name = rest.partition(" ")[0]
    told = {
        "CAPABILITY": f"* CAPABILITY {_CAPABILITIES}\r\n",
        "ID": '* ID ("name" "Slow")\r\n',
        "EXAMINE": "* 3 EXISTS\r\n",
    }.get(name, "")
    code = f"[CAPABILITY {_CAPABILITIES}] " if name == "AUTHENTICATE" else ""
    return f"{told}{tag} OK {code}{name} completed\r\n"


def _smtp(command: str) -> str:
    if command.startswith("EHLO"):
        return "250-slow.test.example\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n"
    return "235 2.7.0 Welcome\r\n" if command.startswith("AUTH") else "250 2.0.0 Ok\r\n"


async def _serve(
    greeting: str, answer: Callable[[str], str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
        await asyncio.sleep(_WAIT_S)
        writer.write(greeting.encode())
        while line := (await reader.readline()).decode().strip():
            await asyncio.sleep(_WAIT_S)
            writer.write(answer(line).encode())
    writer.transport.abort()


async def _run(folder: Path) -> None:
    issue_certificates(folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "good.crt", folder / "good.key")
    greetings = {"imap": f"* OK [CAPABILITY {_CAPABILITIES}] ready\r\n", "smtp": "220 slow.test.example ESMTP\r\n"}
    ports = {}
    for name, answer in (("imap", _imap), ("smtp", _smtp)):
        serve = partial(_serve, greetings[name], answer)
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, backlog=4096)
        ports[name] = server.sockets[0].getsockname()[1]
    # the longer exchange decides how long a verification takes
    print(json.dumps({"ports": ports, "seconds": max(_REPLIES.values()) * _WAIT_S}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_run(Path(sys.argv[1])))
