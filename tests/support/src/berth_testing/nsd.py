"""The session's DNS server: NSD with the zones of zones.py, or with others."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import chown
from typing import Final

import pytest

from berth_testing.ran import ran_against
from berth_testing.servers import Daemon, fill, free_ports, require_root_and, working_directory
from berth_testing.zones import DOMAINS

__all__ = ["NameServer", "name_server"]

_USER: Final = "nobody"


@dataclass(frozen=True, slots=True)
class NameServer:
    """A running server, over UDP and TCP.

    Attributes:
        address: always loopback.
        port: of both transports.
    """

    address: str
    port: int

    @property
    def endpoint(self) -> str:
        """As BERTH_DNS_SERVERS wants it."""
        return f"{self.address}:{self.port}"


@contextmanager
def name_server(zones: Mapping[str, str | None]) -> Iterator[NameServer]:
    """Serve zones: name -> zone file, or None for a zone without data, which answers SERVFAIL."""
    with working_directory("berth-nsd-") as directory:
        [port] = free_ports(1)
        values = {
            "directory": directory,
            "port": port,
            "user": _USER,
            "zones": "".join(_zone(directory, name, text) for name, text in zones.items()),
        }
        (directory / "nsd.conf").write_text(fill("nsd.conf", values))
        chown(directory, _USER)
        daemon = Daemon(["/usr/sbin/nsd", "-d", "-c", directory / "nsd.conf"], directory / "log")
        daemon.start([port])
        try:
            yield NameServer("127.0.0.1", port)
        finally:
            daemon.stop()


def _zone(directory: Path, name: str, text: str | None) -> str:
    file = directory / f"{name.strip('.') or 'root'}.zone"
    if text is not None:
        file.write_text(text)
    return f'zone:\n  name: "{name}"\n  zonefile: "{file}"\n'


@pytest.fixture(scope="session")
def nsd(pytestconfig: pytest.Config) -> Iterator[NameServer]:
    """NSD with the domains of zones.py, or a skip with the reason where it cannot run."""
    require_root_and("nsd")
    with name_server(DOMAINS) as server:
        ran_against(pytestconfig, "NSD (Debian's)")
        yield server
