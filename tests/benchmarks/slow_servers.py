"""IMAP and SMTP over TLS on loopback that wait before every reply: `python -m benchmarks.slow_servers CERTIFICATE`.

Prints the ports as JSON.
"""

import asyncio
import json
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

import uvloop

__all__ = ["REPLIES", "WAIT_S"]

WAIT_S: Final = 3.0
#: How often a verification waits at each.
REPLIES: Final = {"imap": 6, "smtp": 4}
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
        await asyncio.sleep(WAIT_S)
        writer.write(greeting.encode())
        while line := (await reader.readline()).decode().strip():
            await asyncio.sleep(WAIT_S)
            writer.write(answer(line).encode())
    writer.transport.abort()


async def _run(certificate: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(f"{certificate}.crt", f"{certificate}.key")
    greetings = {"imap": f"* OK [CAPABILITY {_CAPABILITIES}] ready\r\n", "smtp": "220 slow.test.example ESMTP\r\n"}
    ports = {}
    for name, answer in (("imap", _imap), ("smtp", _smtp)):
        serve = partial(_serve, greetings[name], answer)
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, backlog=4096)
        ports[name] = server.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_run(sys.argv[1]))
