"""Free TCP ports on loopback."""

import random
import socket

from berth_local.errors import LocalStackError

__all__ = ["NoFreePort", "free_port"]

#: From 32768 on ports are the kernel's ephemeral ones: any outgoing connection may hold the one that looked free.
EPHEMERAL = 32768
LOWEST = 20000


class NoFreePort(LocalStackError):
    """None of the ports tried on loopback is free. Stop what listens there, for example other local stacks."""


def free_port(preferred: int | None = None, address: str = "127.0.0.1") -> int:
    """A port that nobody listens on now, below the ephemeral range.

    Args:
        preferred: taken when it is free; without it, or when it is not, the port is random.
        address: the loopback address to bind.

    Raises:
        NoFreePort: after some 200 tries.
    """
    candidates = random.sample(range(LOWEST, EPHEMERAL), 200)
    for port in ([preferred] if preferred else []) + candidates:
        with socket.socket() as probe:
            # without it a port whose last connections are in TIME_WAIT looks taken for a minute
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                continue
            return port
    raise NoFreePort(f"no free port on {address} from {LOWEST} to {EPHEMERAL - 1}")
