"""Apache Kafka for the session: KAFKA_BOOTSTRAP when it is given; with BERTH_TEST_PROVIDER=testcontainers a container; else one
node started by the launcher of the local stack.

Each test takes topics and groups of its own names; nobody deletes topics. A test that kills a node asks for a cluster of its own.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from berth_local.kafka import Cluster, free_port
from berth_local.kafka_jars import kafka_version
from berth_testing.ran import ran_against

__all__ = ["KafkaServer", "MakeCluster"]

#: `make_cluster(3)`: a cluster, not started, which the end of the test stops and deletes.
MakeCluster = Callable[[int], Cluster]


@dataclass(frozen=True, slots=True)
class KafkaServer:
    """A running Kafka.

    Attributes:
        bootstrap: host:port of its nodes.
    """

    bootstrap: str


@contextmanager
def container() -> Iterator[str]:
    """The bootstrap of one node in a container, for machines with Docker or Podman."""
    from testcontainers.community.kafka import KafkaContainer  # noqa: PLC0415 - imported only where it is asked for

    with KafkaContainer().with_kraft() as server:
        yield server.get_bootstrap_server()


@pytest.fixture(scope="session")
async def kafka(pytestconfig: pytest.Config) -> AsyncIterator[KafkaServer]:
    """The session's Kafka."""
    if bootstrap := os.environ.get("KAFKA_BOOTSTRAP"):
        ran_against(pytestconfig, f"Apache Kafka at {bootstrap} (KAFKA_BOOTSTRAP)")
        yield KafkaServer(bootstrap)
        return
    if os.environ.get("BERTH_TEST_PROVIDER") == "testcontainers":
        with container() as bootstrap:
            ran_against(pytestconfig, "Kafka in a container (testcontainers)")
            yield KafkaServer(bootstrap)
        return
    directory = Path(tempfile.mkdtemp(prefix="berth-kafka-"))
    cluster = Cluster(directory, port=free_port())
    try:
        await asyncio.to_thread(cluster.start)
        await cluster.ready()
        ran_against(pytestconfig, f"Apache Kafka {kafka_version()}, one node (jars)")
        yield KafkaServer(cluster.bootstrap)
    finally:
        await asyncio.to_thread(cluster.kill)  # its data goes as well
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def make_cluster() -> Iterator[MakeCluster]:
    """Clusters that a test may break."""
    made = []

    def make(nodes: int) -> Cluster:
        cluster = Cluster(Path(tempfile.mkdtemp(prefix="berth-kafka-")), nodes, port=free_port(nodes))
        made.append(cluster)
        return cluster

    yield make
    for cluster in made:
        cluster.kill()
        shutil.rmtree(cluster.root, ignore_errors=True)
