"""Free TCP ports on loopback, and ports that stacks keep from each other while their servers start."""

import random
import socket

from berth_local.errors import LocalStackError

__all__ = ["ClaimedPorts", "NoFreePort", "free_port"]

#: From 32768 on ports are the kernel's ephemeral ones: any outgoing connection may hold the one that looked free.
EPHEMERAL = 32768
LOWEST = 20000
LOOPBACK = "127.0.0.1"


class NoFreePort(LocalStackError):
    """None of the ports tried on loopback is free. Stop what listens there, for example other local stacks."""


def free_port(preferred: int | None = None, address: str = LOOPBACK) -> int:
    """A port that nobody listens on now, below the ephemeral range.

    Args:
        preferred: taken when it is free; without it, or when it is not, the port is random.
        address: the loopback address to bind.

    Raises:
        NoFreePort: after some 200 tries.
    """
    for port in _candidates(preferred):
        if _is_free(port, address):
            return port
    raise NoFreePort(f"no free port on {address} from {LOWEST} to {EPHEMERAL - 1}")


class ClaimedPorts:
    """Ports that are this stack's before its servers listen on them.

    A port is claimed by its UDP namesake, which nothing else needs: one process has it, and it is free again when that
    process ends. So two stacks that start at the same moment take different ports.
    """

    def __init__(self) -> None:
        self._claims: list[socket.socket] = []

    def take(self, preferred: int, count: int = 1) -> int:
        """The preferred port, or another one when it is taken.

        Args:
            preferred: tried first.
            count: how many in a row are needed.

        Raises:
            NoFreePort: after some 200 tries.
        """
        for port in _candidates(preferred):
            claims = [_claim(port + offset) for offset in range(count)]
            held = [claim for claim in claims if claim]
            if len(held) == count:
                self._claims += held
                return port
            for claim in held:
                claim.close()
        raise NoFreePort(f"no free port on {LOOPBACK} from {LOWEST} to {EPHEMERAL - 1}")

    def release(self) -> None:
        """Give all of them up."""
        for claim in self._claims:
            claim.close()


def _claim(port: int) -> socket.socket | None:
    claim = socket.socket(type=socket.SOCK_DGRAM)
    try:
        claim.bind((LOOPBACK, port))
    except OSError:
        claim.close()
        return None
    if _is_free(port, LOOPBACK):
        return claim
    claim.close()
    return None


def _candidates(preferred: int | None) -> list[int]:
    return ([preferred] if preferred else []) + random.sample(range(LOWEST, EPHEMERAL), 200)


def _is_free(port: int, address: str) -> bool:
    with socket.socket() as probe:
        # without it a port whose last connections are in TIME_WAIT looks taken for a minute
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
