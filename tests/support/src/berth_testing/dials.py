"""Which addresses this process connects to, seen at the socket: CPython's audit events, which no library gets around.

    with watch_dials(allowed={("127.0.0.1", port)}) as dials:
        ...
    assert dials.made == {("127.0.0.1", port)}

Whatever is not allowed is recorded and refused before a packet leaves. Event loops that connect in C raise no audit events: tests
run on asyncio's own.
"""

import socket
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Dials", "Endpoint", "watch_dials"]

Endpoint = tuple[str, int]
_EVENTS: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_INTERNET: Final = frozenset({socket.AF_INET, socket.AF_INET6})


@dataclass(slots=True)
class Dials:
    """What was dialled.

    Attributes:
        allowed: may be connected to.
        made: address and port of every attempt, of all threads.
    """

    allowed: Collection[Endpoint]
    made: set[Endpoint] = field(default_factory=set)

    def see(self, endpoint: Endpoint) -> None:
        """Record an attempt.

        Raises:
            ConnectionRefusedError: it is not allowed.
        """
        self.made.add(endpoint)
        if endpoint not in self.allowed:
            raise ConnectionRefusedError


class _Hook:
    """An audit hook stays for the life of the process: one, which listens while somebody watches."""

    def __init__(self) -> None:
        self.watching: Dials | None = None
        self.installed = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.watching is None or event not in _EVENTS:
            return
        connection, address = arguments
        if connection.family in _INTERNET and address is not None:
            self.watching.see((address[0], address[1]))


_HOOK: Final = _Hook()


@contextmanager
def watch_dials(allowed: Collection[Endpoint] = ()) -> Iterator[Dials]:
    """Watch until the block ends; one at a time."""
    if not _HOOK.installed:
        sys.addaudithook(_HOOK)
        _HOOK.installed = True
    _HOOK.watching = dials = Dials(allowed)
    try:
        yield dials
    finally:
        _HOOK.watching = None
