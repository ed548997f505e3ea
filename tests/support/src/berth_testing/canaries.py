"""Canaries: secrets that are planted where secrets go, and searched for everywhere they must not turn up.

    canaries = Canaries()
    password = canaries.plant("imap password")
    ...                                           # use it as the password
    canaries.in_text("log of the connector", output)
    await canaries.in_database(dsn)
    await canaries.in_topics(bus, TOPICS)
    assert canaries.leaks == []
    assert canaries.searched["records"] > 0       # nothing is found where nothing was searched

A secret is found as it is in any case of letters, quoted for JSON, Python, IMAP, URLs and HTML, in hexadecimal, in UTF-16, and
in base64 at each of the three alignments, with line breaks or without. Half of a planted one is enough.
"""

import asyncio
import base64
import html
import json
import secrets
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus
from uuid import uuid4

import asyncpg

from berth_events.runtime.bus import Bus, Partition

__all__ = ["Canaries", "Leak"]

_SHORTEST: Final = 8
_PEM_LABELS: Final = ("-----BEGIN ", "-----END ")
_CONTEXT: Final = 40
_BATCH: Final = 500
_TIMEOUT_S: Final = 120

_COLUMNS: Final = """
SELECT format('%I.%I', n.nspname, c.relname) AS relation, a.attname AS name,
       quote_ident(a.attname) || CASE WHEN a.atttypid = 'bytea'::regtype THEN '' ELSE '::text' END AS expression
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm') AND a.attnum > 0 AND NOT a.attisdropped
   AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
 ORDER BY 1, a.attnum
"""


@dataclass(frozen=True, slots=True)
class Leak:
    """A canary that turned up: its name, in which form, where, and what stood around it (the secret itself is masked)."""

    canary: str
    form: str
    where: str
    around: str


class Canaries:
    """Secrets, and the search for them.

    Attributes:
        leaks: everything that any search has found so far.
        searched: how many texts, files, cells and records were looked through.
    """

    def __init__(self) -> None:
        self.leaks: list[Leak] = []
        self.searched: Counter[str] = Counter()
        self._forms: dict[str, Mapping[str, Collection[bytes]]] = {}

    def plant(self, name: str, *, between: str = '"\\ é%+/=') -> str:
        """Make a secret of two random halves, around characters that every quoting treats in its own way."""
        halves = secrets.token_hex(8), secrets.token_hex(8)
        self._remember(name, halves)
        return between.join(halves)

    def add(self, name: str, secret: str) -> None:
        """Search for a secret that was made elsewhere, each of its lines by itself (a PEM key has several).

        Raises:
            ValueError: it has no line of at least 8 characters, so that it would be found by chance.
        """
        lines = [line for line in secret.splitlines() if len(line) >= _SHORTEST and not line.startswith(_PEM_LABELS)]
        if not lines:
            raise ValueError(f"{name}: give a secret with a line of at least {_SHORTEST} characters")
        self._remember(name, lines)

    def in_text(self, where: str, content: str | bytes) -> list[Leak]:
        """Search a text; what is found is added to `leaks` as well."""
        self.searched["texts"] += 1
        return self._search(where, content)

    def in_files(self, paths: Iterable[Path]) -> list[Leak]:
        """Search files, and all files below folders."""
        found = []
        for path in paths:
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file():
                    self.searched["files"] += 1
                    found += self._search(str(file), file.read_bytes())
        return found

    async def in_database(self, dsn: str) -> list[Leak]:
        """Search every column of every table and materialized view, the sealed ones too: what is sealed is not found.

        Args:
            dsn: of a role that may read everything.
        """
        found = []
        async with asyncio.timeout(_TIMEOUT_S):
            connection = await asyncpg.connect(dsn)
            try:
                tables: dict[str, list[asyncpg.Record]] = {}
                for column in await connection.fetch(_COLUMNS):
                    tables.setdefault(column["relation"], []).append(column)
                for table, columns in tables.items():
                    found += await self._in_table(connection, table, columns)
            finally:
                await connection.close()
        return found

    async def _in_table(
        self, connection: "asyncpg.Connection[asyncpg.Record]", table: str, columns: Sequence[asyncpg.Record]
    ) -> list[Leak]:
        found = []
        query = f"SELECT {', '.join(column['expression'] for column in columns)} FROM {table}"
        async with connection.transaction(readonly=True):
            cursor = await connection.cursor(query)
            while rows := await cursor.fetch(_BATCH):
                for row in rows:
                    for column, cell in zip(columns, row.values(), strict=True):
                        if cell is not None:
                            self.searched["cells"] += 1
                            found += self._search(f"{table}.{column['name']}", cell)
        return found

    async def in_topics(self, bus: Bus, topics: Sequence[str]) -> list[Leak]:
        """Search key, headers and value of every record that the topics hold now."""
        found = []
        async with asyncio.timeout(_TIMEOUT_S):
            missing = {partition: end for partition, end in (await bus.end_offsets(topics)).items() if end > 0}
            consumer = await bus.consumer(group=f"canaries-{uuid4()}", topics=topics, listener=_FromTheBeginning())
            try:
                while missing:
                    for partition, records in (await consumer.fetch(max_records=_BATCH, timeout=1)).items():
                        for record in records:
                            self.searched["records"] += 1
                            headers = b"\n".join(name.encode() + b": " + value for name, value in record.headers)
                            where = f"{partition.topic}/{partition.number}@{record.offset}"
                            found += self._search(where, b"\n".join((record.key, headers, record.value)))
                        if records and records[-1].offset + 1 >= missing.get(partition, 0):
                            missing.pop(partition, None)
            finally:
                await consumer.close()
        return found

    def _remember(self, name: str, marks: Iterable[str]) -> None:
        forms: dict[str, set[bytes]] = {}
        for mark in marks:
            for form, pattern in _forms(mark):
                forms.setdefault(form, set()).add(pattern)
        self._forms[name] = forms

    def _search(self, where: str, content: str | bytes) -> list[Leak]:
        raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        lower, joined = raw.lower(), b"".join(raw.split())
        found = []
        for name, forms in self._forms.items():
            for form, patterns in forms.items():
                text = joined if form == "base64" else lower
                hit = next((place for pattern in patterns if (place := text.find(pattern)) >= 0), None)
                if hit is not None:
                    found.append(
                        Leak(name, form, where, self._masked(text[max(0, hit - _CONTEXT) : hit + 2 * _CONTEXT]))
                    )
                    break
        self.leaks += found
        return found

    def _masked(self, around: bytes) -> str:
        for forms in self._forms.values():
            for patterns in forms.values():
                for pattern in sorted(patterns, key=len, reverse=True):
                    around = around.replace(pattern, b"***")
        return around.decode("utf-8", "replace")


class _FromTheBeginning:
    """Reads all that there is."""

    async def assigned(self, partitions: frozenset[Partition]) -> Mapping[Partition, int]:
        return dict.fromkeys(partitions, 0)

    async def revoked(self, partitions: frozenset[Partition]) -> None:
        """Nothing is in flight."""


def _forms(mark: str) -> Iterator[tuple[str, bytes]]:
    """The forms in which a secret may be written. All but base64 are in lower case, like what they are searched in."""
    raw = mark.encode()
    texts = {
        "plain": {mark},
        "JSON": {json.dumps(mark)[1:-1], json.dumps(mark, ensure_ascii=False)[1:-1]},
        "Python": {repr(mark)[1:-1], repr(raw)[2:-1], ascii(mark)[1:-1]},
        "IMAP": {mark.replace("\\", "\\\\").replace('"', '\\"')},
        "URL": {quote(mark), quote(mark, safe=""), quote_plus(mark), quote(mark, safe="!*'();:@&=+$,/?#[]")},
        "HTML": {html.escape(mark), html.escape(mark, quote=False)},
        "hexadecimal": {raw.hex()},
    }
    for form, variants in texts.items():
        for variant in variants:
            yield form, variant.encode().lower()
    for encoding in ("utf-16-le", "utf-16-be", "latin-1"):
        with suppress(UnicodeEncodeError):
            yield "another encoding", mark.encode(encoding).lower()
    for pattern in {*_base64(raw), *_base64(raw, b"-_")}:
        yield "base64", pattern
        yield "base64", quote(pattern, safe="").encode()


def _base64(raw: bytes, alternatives: bytes = b"+/") -> Iterator[bytes]:
    """At each alignment the characters of base64 that the bytes alone decide, whatever stands before and behind them."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw + bytes(3), alternatives)
        yield encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
