"""`make bench`: every benchmark once, on real Postgres (fsync on), Kafka, Dovecot, Postfix and NSD."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import uvloop

from benchmarks.accepting import measure_accepting, measure_seat_latency
from benchmarks.claiming import measure_claiming
from benchmarks.importing import measure_importing
from benchmarks.listing import measure_listing
from benchmarks.rebuilding import measure_rebuild
from benchmarks.verifying import measure_verifying
from berth_events.runtime.kafka_bus import KafkaBus
from berth_local.kafka import Cluster, free_port
from berth_local.postgres import Postgres
from berth_testing.mail_bed import mail_servers
from berth_testing.nsd import name_server
from berth_testing.platform import Surroundings, run_platform
from berth_testing.zones import DOMAINS


@asynccontextmanager
async def _kafka(directory: Path) -> AsyncIterator[str]:
    cluster = Cluster(directory, port=free_port())
    await asyncio.to_thread(cluster.start)
    try:
        await cluster.ready()
        yield cluster.bootstrap
    finally:
        await asyncio.to_thread(cluster.kill)


async def _rebuild(directory: Path, server: Postgres) -> None:
    connection = await asyncpg.connect(server.dsn)
    await connection.execute("CREATE DATABASE rebuild")
    await connection.close()
    async with _kafka(directory) as bootstrap:
        bus = KafkaBus(bootstrap)
        try:
            for figure in await measure_rebuild(bus, server.dsn.rpartition("/")[0] + "/rebuild"):
                print(figure, flush=True)
        finally:
            await bus.close()


async def _bench(directory: Path) -> None:
    server = Postgres(directory / "postgres")
    await asyncio.to_thread(server.start)
    try:
        with mail_servers() as bed, name_server(DOMAINS) as nsd:
            for figure in await asyncio.to_thread(measure_verifying, bed, nsd):
                print(figure, flush=True)
            async with _kafka(directory / "kafka") as bootstrap:
                surroundings = Surroundings(
                    kafka_bootstrap=bootstrap,
                    dns_server=nsd.endpoint,
                    ca_file=bed.ca_file,
                    mail_ports=sorted(bed.ports.values()),
                    settings={"LOG_LEVEL": "WARNING"},
                )
                async with run_platform(server.dsn, directory, surroundings) as platform:
                    for service in ("connector", "dns-auditor"):  # they would share the two cores
                        await platform.kill(service)
                    for figure in [
                        *await measure_accepting(platform, bed),
                        *await measure_seat_latency(platform, bed),
                        *await measure_listing(platform, bed),
                        *await measure_importing(platform, bed),
                    ]:
                        print(figure, flush=True)
        await _rebuild(directory / "kafka-of-rebuild", server)
        connection = await asyncpg.connect(server.dsn)
        await connection.execute("CREATE DATABASE claiming")
        await connection.close()
        for figure in await measure_claiming(server.dsn.rpartition("/")[0] + "/claiming"):
            print(figure, flush=True)
    finally:
        await asyncio.to_thread(server.stop)


def main() -> None:
    """Run them in a directory that is deleted afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="berth-bench-"))
    directory.chmod(0o755)  # as root the servers run as others, who have to enter it
    try:
        uvloop.run(_bench(directory))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
