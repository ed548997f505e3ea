"""What to do about findings, in words and in lines of a zone file."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from berth_dns_auditor.findings import catalogue
from berth_events.contracts import Finding, RecordChange

__all__ = ["advice", "zone_line"]

#: A string of a TXT record holds this many bytes (RFC 1035 §3.3.14).
STRING_MAX: Final = 255

#: A byte, written `\DDD` where it is no printable ASCII.
_BYTE: Final = re.compile(r"\\[0-9]{3}|.", re.DOTALL)
_NAMES: Final = frozenset({"CNAME", "MX", "NS", "PTR"})
_TEXTS: Final = frozenset({"TXT", "SPF"})


def advice(findings: Iterable[Finding]) -> str:
    """What is wrong and how to mend it, for a person at a terminal; empty when there is nothing to say."""
    return "\n\n".join("\n".join(_paragraph(found)) for found in findings)


def _paragraph(found: Finding) -> Iterator[str]:
    entry = catalogue()[found.code]
    yield f"{found.severity}: {found.code} {found.subject}"
    yield f"  {entry.meaning} ({entry.reference})"
    yield f"  {entry.remedy}"
    if not found.publish:
        yield from (f"  seen: {line}" for line in found.evidence)
    for change in found.publish:
        yield from _lines(change)


def _lines(change: RecordChange) -> Iterator[str]:
    for record in change.replaces:
        yield f"  - {zone_line(change.name, change.type, record)}"
    if change.value is not None:
        yield f"  + {zone_line(change.name, change.type, change.value)}"


def zone_line(name: str, rdtype: str, record: str) -> str:
    """A record as a zone file has it (RFC 1035 §5.1).

    Args:
        name: The owner, without a final dot.
        rdtype: The type.
        record: The record as answers and changes have it: of TXT the whole text.
    """
    if rdtype in _TEXTS:
        data = " ".join(f'"{text}"' for text in _strings(record))
    elif rdtype == "SOA":
        primary, mailbox, numbers = record.split(" ", 2)
        data = f"{primary}. {mailbox}. {numbers}"
    elif rdtype in _NAMES and not record.endswith("."):
        data = f"{record}."
    else:
        data = record
    return f"{name}. IN {rdtype} {data}"


def _strings(text: str) -> list[str]:
    shown = [byte if len(byte) > 1 or byte not in '"\\' else f"\\{byte}" for byte in _BYTE.findall(text)]
    return ["".join(shown[start : start + STRING_MAX]) for start in range(0, len(shown), STRING_MAX)] or [""]
