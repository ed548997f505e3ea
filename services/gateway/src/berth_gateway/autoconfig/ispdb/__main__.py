"""`python -m berth_gateway.autoconfig.ispdb`: make the data file anew from `git archive HEAD ispdb LICENSE` of a clone."""

import json
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from berth_gateway.autoconfig.ispdb.source import Entry, InvalidEntry, read_entry

__all__ = ["Refused", "main", "update"]

SOURCE: Final = "https://github.com/thunderbird/autoconfig"
_LICENCE: Final = "Mozilla Public License Version 2.0"
_MAX_FILES: Final = 5_000
_MAX_BYTES: Final = 256 * 1024
_NOTICE: Final = """\
providers.json is made from the ISPDB, Thunderbird's database of mail services, by Ben Bucksch and others:

    {source}
    commit {commit}
    of {date}

It is subject to the terms of the Mozilla Public License, v. 2.0: see LICENSE beside it, or https://mozilla.org/MPL/2.0/.
Its source form is the XML files of that commit. It was changed: one JSON file instead of XML; only IMAP and submission
servers with TLS that take a password or a token, and user names that are made from the address; one page of help for
each service; servers with implicit TLS first.

All other files of this package are under Apache-2.0.
"""


class Refused(Exception):
    """The archive is not one of the ISPDB. Make it by `git archive HEAD ispdb LICENSE` in a clone of its repository."""


def main() -> None:
    """Read the archive from standard input, and write into the directory that is named, or this one."""
    directory = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent
    try:
        report = update(sys.stdin.buffer, directory)
    except (Refused, tarfile.TarError) as error:
        sys.exit(f"{str(error).removesuffix('.')}. {Refused.__doc__}")
    print("\n".join(report))


def update(archive: BinaryIO, directory: Path) -> list[str]:
    """Write providers.json, LICENSE and NOTICE; nothing, when a file cannot be read.

    Args:
        archive: as git makes it, with the commit in its head.
        directory: where to.

    Returns:
        What was kept and what was not, for people.

    Raises:
        Refused: the archive has no commit, no licence or no entry, too many or too large files, or one that is no entry.
        tarfile.TarError: it is no archive.
    """
    entries: list[Entry] = []
    licence, committed = b"", 0
    with tarfile.open(fileobj=archive, mode="r|") as tar:
        for member, content in _files(tar):
            if member.name == "LICENSE":
                licence, committed = content, int(member.mtime)
            elif member.name.endswith(".xml"):
                try:
                    entries.append(read_entry(content))
                except InvalidEntry as error:
                    raise Refused(f"{member.name}: {error}") from error
        commit = tar.pax_headers.get("comment", "")
    if not commit or not entries or _LICENCE not in licence.decode(errors="replace"):
        raise Refused("It has no commit, no entry or no licence.")
    kept = [entry for entry in sorted(entries, key=lambda entry: entry.id) if entry.imap or entry.smtp]
    head = {"source": SOURCE, "commit": commit, "date": f"{datetime.fromtimestamp(committed, UTC):%Y-%m-%d}"}
    (directory / "providers.json").write_text(_document(head, kept), encoding="utf-8")
    (directory / "LICENSE").write_bytes(licence)
    (directory / "NOTICE").write_text(_NOTICE.format(**head), encoding="utf-8")
    return _report(entries, kept)


def _files(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    for number, member in enumerate(tar):
        if number > _MAX_FILES or member.size > _MAX_BYTES:
            raise Refused(f"{member.name} is too large, or one too many.")
        opened = tar.extractfile(member) if member.isfile() else None
        if opened is not None:
            yield member, opened.read()


def _document(head: dict[str, str], entries: list[Entry]) -> str:
    """One service a line, so that a change of the source is a change of its lines."""
    lines = ",\n".join(f"  {json.dumps(_kept(entry), ensure_ascii=False)}" for entry in entries)
    fields = "".join(f" {json.dumps(name)}: {json.dumps(value)},\n" for name, value in head.items())
    return f'{{\n{fields} "licence": "MPL-2.0",\n "providers": [\n{lines}\n ]\n}}\n'


def _kept(entry: Entry) -> dict[str, object]:
    return {name: value for name, value in asdict(entry).items() if name != "left_out"}


def _report(entries: list[Entry], kept: list[Entry]) -> list[str]:
    left_out = Counter(reason for entry in entries for reason in entry.left_out)
    domains = sum(len(entry.domains) for entry in kept)
    return [
        f"{len(kept)} of {len(entries)} services, {domains} domains",
        *(f"left out: {count} x {reason}" for reason, count in left_out.most_common()),
    ]


if __name__ == "__main__":
    main()
