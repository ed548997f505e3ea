import asyncio
import hashlib
import importlib.util
import re
import sys
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from berth_local import kafka_jars
from berth_local.kafka import Cluster, KafkaUnavailable, free_port
from berth_testing.kafka import MakeCluster

ONE_JAR = "# a comment\norg.example:tool:1.2 sha256:{}\n"


def jgo(monkeypatch: pytest.MonkeyPatch, content: bytes) -> list[str]:
    """Stand in for jgo: every artifact that it is asked for has this content."""
    asked: list[str] = []

    class MavenContext:
        def __init__(self, repo_cache: Path, **_: object) -> None:
            self.cache = repo_cache

        def project(self, group: str, artifact: str) -> Any:
            def resolve() -> Path:
                asked.append(f"{group}:{artifact}")
                self.cache.mkdir(parents=True, exist_ok=True)
                (self.cache / artifact).write_bytes(content)
                return self.cache / artifact

            return SimpleNamespace(
                at_version=lambda _: SimpleNamespace(artifact=lambda: SimpleNamespace(resolve=resolve))
            )

    module: Any = ModuleType("jgo.maven")
    module.MavenContext = MavenContext
    monkeypatch.setitem(sys.modules, "jgo.maven", module)
    return asked


def lock(monkeypatch: pytest.MonkeyPatch, directory: Path, text: str) -> None:
    (directory / "jars.lock").write_text(text)
    monkeypatch.setattr(kafka_jars, "LOCK_FILE", directory / "jars.lock")


def test_jars_are_checked_and_fetched_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock(monkeypatch, tmp_path, ONE_JAR.format(hashlib.sha256(b"jar").hexdigest()))
    asked = jgo(monkeypatch, b"jar")
    first, second = kafka_jars.fetch_jars(tmp_path / "cache"), kafka_jars.fetch_jars(tmp_path / "cache")
    assert first == second
    assert [path.name for path in first.iterdir()] == ["tool-1.2.jar"]
    assert asked == ["org.example:tool"]


def test_a_jar_that_differs_from_the_lock_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock(monkeypatch, tmp_path, ONE_JAR.format("00"))
    jgo(monkeypatch, b"another jar")
    with pytest.raises(KafkaUnavailable, match=re.escape("tool-1.2.jar has the SHA-256")):
        kafka_jars.fetch_jars(tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("tool-1.2.jar"))


def test_without_jgo_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "jgo.maven", None)
    with pytest.raises(KafkaUnavailable, match=r"pip install -r requirements/kafka\.txt"):
        kafka_jars.fetch_jars(tmp_path)


def test_without_java_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(KafkaUnavailable, match=r"Java 17 or later.*requirements/kafka\.txt"):
        kafka_jars.find_java()


def test_a_java_that_is_too_old_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for home, version in (("old", "11.0.2"), ("new", "21.0.1")):
        java = tmp_path / home / "bin" / "java"
        java.parent.mkdir(parents=True)
        java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
        java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setenv("PATH", str(tmp_path / "new" / "bin"))
    assert kafka_jars.find_java() == tmp_path / "new" / "bin" / "java"


def test_two_downloads_wait_for_each_other(tmp_path: Path) -> None:
    held = threading.Event()

    def hold() -> None:
        with kafka_jars._locked(tmp_path / "lock"):
            held.set()
            time.sleep(0.3)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(5)
    began = time.monotonic()
    with kafka_jars._locked(tmp_path / "lock"):
        assert time.monotonic() - began > 0.1
    holder.join(5)


def test_free_ports_are_below_the_ephemeral_range() -> None:
    assert all(20000 <= free_port(3) < 32768 - 22 for _ in range(20))


@pytest.mark.kafka
async def test_a_node_that_outlived_its_launcher_is_replaced(make_cluster: MakeCluster) -> None:
    orphaned = make_cluster(1)
    await asyncio.to_thread(orphaned.start)
    await orphaned.ready()
    again = Cluster(orphaned.root, 1, orphaned.port)
    await asyncio.to_thread(again.start)
    try:
        assert orphaned._processes[1].wait(5) == -9
        assert await again.ready() > 0
    finally:
        await asyncio.to_thread(again.stop)


@pytest.mark.kafka
async def test_a_node_that_cannot_start_is_named_with_the_end_of_its_log(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(1)
    await asyncio.to_thread(cluster.prepare)
    (cluster.root / "node1" / "server.properties").write_text("node.id=one\n")
    await asyncio.to_thread(cluster.start)
    with pytest.raises(KafkaUnavailable, match=r"Kafka node 1 ended: (.|\n)*Invalid value one"):
        await cluster.ready()


def test_an_id_that_looks_like_an_option_is_taken(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(1)
    (cluster.root / "cluster.id").write_text("-mgw9dIQowS3j02EiiAqoQ")  # one of 64 random ones begins so
    cluster.prepare()
    assert "cluster.id=-mgw9dIQowS3j02EiiAqoQ" in (cluster.root / "node1/data/meta.properties").read_text()
