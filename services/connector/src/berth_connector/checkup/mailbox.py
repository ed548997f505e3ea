"""A mailbox as a checkup uses it: look for one message, learn of its arrival, read its header, delete it and no other."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from email.policy import compat32
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from berth_connector.checkup.connection import Connection
from berth_connector.checkup.message import FIELD, Marks
from berth_connector.probe import Fault
from berth_connector.probe.steplog import clean

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock

__all__ = ["Arrived", "Mailbox"]

_INBOX: Final = "INBOX"
#: Of a header only so much is read, whatever was written into it on the way.
_MAX_HEADER: Final = 65_536
_HEADER: Final = (
    f"BODY.PEEK[HEADER.FIELDS (MESSAGE-ID {FIELD.upper()} DATE RECEIVED AUTHENTICATION-RESULTS RECEIVED-SPF "
    f"DKIM-SIGNATURE)]<0.{_MAX_HEADER}>"
)
#: A server that takes no notice of what is searched for finds everything: only so many are looked at, the newest first.
_MAX_HITS: Final = 5
#: Seconds before the next look when there is something new: a server may say so at each look.
_BREATH: Final = 0.5
_FOLDER: Final = re.compile(rb'\((?P<flags>[^()]*)\) (?:"(?:[^"\\]|\\.)*"|NIL) (?P<name>.+)', re.DOTALL | re.IGNORECASE)
#: What spam folders are called by servers that do not mark them (RFC 6154); the last part of the name, in lower case.
_JUNK_NAMES: Final = frozenset(
    {"junk", "spam", "junk e-mail", "junk email", "junk mail", "bulk", "bulk mail", "spamverdacht", "quarantine"}
)
_NAME_PARTS: Final = re.compile(r"[/.\\]")
_SHIFTED: Final = re.compile(r"&([^-&]*)-")


@dataclass(frozen=True, slots=True)
class Arrived:
    """Where the message is, and its header.

    Attributes:
        folder: as people read it.
        spam: it is a spam folder.
        header: see `berth_connector.checkup.reading`.
    """

    folder: str
    spam: bool
    header: bytes


@dataclass(frozen=True, slots=True)
class _Folders:
    """Names as they are on the wire, without quotes."""

    junk: tuple[str, ...] = ()
    sent: tuple[str, ...] = ()
    trash: str | None = None


class Mailbox:
    """A signed-in mailbox, in which one message is looked for.

    Args:
        connection: to its server.
        marks: what the message is known by.
        folders: besides the INBOX.
        clock: time.
    """

    def __init__(self, connection: Connection, marks: Marks, folders: _Folders, clock: "Clock") -> None:
        self._connection, self._marks, self._folders, self._clock = connection, marks, folders, clock
        self._idles = connection.offers("IDLE")

    @classmethod
    async def open(cls, connection: Connection, marks: Marks, clock: "Clock") -> "Mailbox":
        """Learn which folders there are."""
        return cls(connection, marks, await _list_folders(connection), clock)

    async def find(self) -> Arrived | None:
        """The message, wherever it arrived. The INBOX is open behind it, as it was looked at last: what comes now is news."""
        junk = self._folders.junk
        for folder in (_INBOX, *junk, _INBOX) if junk else (_INBOX,):
            for _, header in await self._hits(folder):
                return Arrived(_readable(folder), folder != _INBOX, header)
        return None

    async def news(self, seconds: float) -> None:
        """Wait until something happens in the INBOX, as far as the server tells, for at most some seconds.

        What it told while the INBOX was searched, it does not tell again to who idles.
        """
        if self._connection.has_news:
            await self._connection.wait(self._clock.sleep(min(seconds, _BREATH)))
        elif self._idles:
            self._idles = await self._connection.idle(self._clock.sleep(seconds))
        else:
            await self._connection.wait(self._clock.sleep(seconds))

    async def remove(self) -> None:
        """Delete the message in every folder that a checkup can leave it in: also a second one of a run that was killed."""
        for folder in (_INBOX, *self._folders.junk, *self._folders.sent):
            for uid, _ in await self._hits(folder):
                await self._delete(uid)
        if self._in_trash and self._folders.trash:
            for uid, _ in await self._hits(self._folders.trash):
                await self._expunge(uid)

    @property
    def _in_trash(self) -> bool:
        """Whether deleting goes by the trash: Gmail only takes a label off a message that is expunged elsewhere."""
        return self._folders.trash is not None and self._connection.offers("MOVE") and (
            self._connection.offers("X-GM-EXT-1") or not self._connection.offers("UIDPLUS")
        )  # fmt: skip

    async def _delete(self, uid: int) -> None:
        if self._in_trash and self._folders.trash:
            await self._connection.uid("MOVE", str(uid), _quoted(self._folders.trash))
        else:
            await self._expunge(uid)

    async def _expunge(self, uid: int) -> None:
        """Without UIDPLUS (RFC 4315) it is only marked: EXPUNGE would take along what others have marked."""
        await self._connection.uid("STORE", str(uid), "+FLAGS", r"(\Deleted)")
        if self._connection.offers("UIDPLUS"):
            await self._connection.uid("EXPUNGE", str(uid))

    async def _hits(self, folder: str) -> list[tuple[int, bytes]]:
        """The message's UIDs and headers in a folder; what a server finds besides is not it. A folder that is gone has none."""
        try:
            await self._connection.select(_quoted(folder))
        except Fault:
            if folder == _INBOX:
                raise
            return []
        marks = self._marks
        uids = await self._connection.search(
            f"UNDELETED OR HEADER Message-ID {_quoted(marks.message_id)} HEADER {FIELD} {_quoted(marks.checkup_id)}"
        )
        headers = [(uid, _whole(await self._connection.fetch(uid, _HEADER))) for uid in uids[: -_MAX_HITS - 1 : -1]]
        return [(uid, header) for uid, header in headers if self._is_it(header)]

    def _is_it(self, header: bytes) -> bool:
        return self._marks.are_of(BytesHeaderParser(policy=compat32).parsebytes(header))


def _whole(header: bytes) -> bytes:
    """The header without the field that was cut, if it was too long."""
    if len(header) < _MAX_HEADER:
        return header
    lines = header.splitlines(keepends=True)
    while lines and lines[-1][:1].isspace():
        lines.pop()
    return b"".join(lines[:-1])


async def _list_folders(connection: Connection) -> _Folders:
    """By their special use (RFC 6154); where the server marks none, spam folders by their names."""
    named: list[tuple[str, str]] = []
    if connection.offers("SPECIAL-USE"):
        with suppress(Fault):
            named = list(_folders_of(await connection.list_folders("(SPECIAL-USE)", '""', '"*"')))
    if not named:
        with suppress(Fault):
            named = list(_folders_of(await connection.list_folders('""', '"*"')))

    def used_as(flag: str) -> tuple[str, ...]:
        return tuple(name for flags, name in named if flag in flags.lower().split())

    by_name = tuple(name for _, name in named if _NAME_PARTS.split(name.lower())[-1] in _JUNK_NAMES)
    return _Folders(
        junk=(used_as("\\junk") or by_name)[:2],
        sent=used_as("\\sent")[:1],
        trash=next(iter(used_as("\\trash")), None),
    )


def _folders_of(lines: Sequence[bytes]) -> Iterator[tuple[str, str]]:
    """Flags and names. A name may be an atom, a quoted string, or a literal, which is a line of its own."""
    for line, literal in pairwise([*lines, b""]):
        found = _FOLDER.fullmatch(line) if isinstance(line, bytes) else None
        if found is None:
            continue
        name = found["name"]
        if isinstance(literal, bytearray) and name.startswith(b"{"):
            name = bytes(literal)
        elif name.startswith(b'"'):
            name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
        text = name.decode("utf-8", "replace")
        if text.isprintable():
            yield found["flags"].decode("ascii", "replace"), text


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _readable(folder: str) -> str:
    """A folder's name for people: modified UTF-7 (RFC 3501, section 5.1.3) decoded, or as it is when it is not that."""

    def plain(found: re.Match[str]) -> str:
        return f"+{found[1].replace(',', '/')}-".encode().decode("utf-7") if found[1] else "&"

    try:
        return clean(_SHIFTED.sub(plain, folder))
    except UnicodeDecodeError:
        return folder
