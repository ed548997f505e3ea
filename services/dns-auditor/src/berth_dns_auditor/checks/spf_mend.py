"""SPF records that mend a finding: what is published, with one thing changed and what is void repaired. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from berth_dns_auditor.checks.spf_grammar import Directive, Modifier, SpfRecord, parse_spf
from berth_dns_auditor.findings import PUBLISH_WIDTH, change
from berth_events.contracts import RecordChange

__all__ = ["mended", "merged", "rewrite", "split_up"]

#: A record of this length, and with it the answer, still fits the smallest packet (RFC 7208 §3.4).
RECORD_BYTES: Final = 450

_ALL: Final = re.compile(r"[+?~-]?all", re.IGNORECASE)
_ENDING: Final = re.compile(r"[+?~-]?all$|redirect=", re.IGNORECASE)
_MISSPELT: Final[Sequence[tuple[re.Pattern[str], str]]] = tuple(
    (re.compile(pattern, re.IGNORECASE), right)
    for pattern, right in (
        (r"^([+?~-]?)(?:ipv4|ip4|ip)[:=](?=[0-9.]+(?:/|$))", r"\1ip4:"),
        (r"^([+?~-]?)(?:ipv6|ip6|ip)[:=](?=[0-9a-f]*:)", r"\1ip6:"),
        (r"^([+?~-]?)(include|a|mx|ptr|exists)=", r"\1\2:"),
        (r"^(redirect|exp):", r"\1="),
        (r"^([+?~-]?)(all)[^a-z].*$", r"\1\2"),
    )
)


def rewrite(
    zone: str, domain: str, record: SpfRecord, swap: Mapping[str, str] | None = None, *, ending: str = ""
) -> tuple[RecordChange, ...]:
    """The change from a record to its mended form; none when another organization publishes it.

    Args:
        zone: The domain that is audited.
        domain: Where the record stands.
        record: The record.
        swap: The text to put in place of a term; an empty one removes it.
        ending: Takes the place of `all` and `redirect`.
    """
    ours = domain == zone or domain.endswith(f".{zone}")
    if not ours or len(record.text) > PUBLISH_WIDTH:
        return ()
    text = mended(record, swap or {}, ending=ending)
    return () if text == record.text else (change(domain, "TXT", text, record.text),)


def mended(record: SpfRecord, swap: Mapping[str, str], *, ending: str = "") -> str:
    """The record with these terms swapped, what is void repaired or left out, nothing twice, nothing behind `all`."""
    swapped = (swap.get(term, term) for term in record.text.split(" ")[1:] if term)
    terms = _without_tail(_tidy(term for text in swapped for term in text.split(" ") if term))
    if ending:
        terms = [*(term for term in terms if not _ENDING.match(term)), ending]
    return " ".join(["v=spf1", *terms])


def merged(records: Iterable[SpfRecord]) -> str:
    """One record that lets everybody send whom one of the records lets, and ends as mildly as the mildest."""
    terms = _tidy(term for record in records for term in record.text.split(" ")[1:] if term)
    endings = [term.lower() for term in terms if _ENDING.match(term)]
    mildest = next((end for end in ("?all", "~all", "-all") if end in endings), "~all")
    return " ".join(["v=spf1", *(term for term in terms if not _ENDING.match(term)), mildest])


def split_up(domain: str, record: SpfRecord) -> tuple[RecordChange, ...]:
    """The changes that move the addresses of a long record to names below the domain; none when that is not enough."""
    networks = [
        term.text for term in record.terms if isinstance(term, Directive) and term.network and term.qualifier == "+"
    ]
    parts: list[list[str]] = []
    for text in networks:
        if not parts or len(" ".join(["v=spf1", *parts[-1], text, "-all"])) > RECORD_BYTES:
            parts.append([])
        parts[-1].append(text)
    names = [f"_spf{number}.{domain}" for number, _ in enumerate(parts, 1)]
    moved = dict.fromkeys(networks, "") | dict(zip(networks, (f"include:{name}" for name in names), strict=False))
    short = mended(record, moved)
    if record.issues or not parts or len(short) > RECORD_BYTES:
        return ()
    below = (change(name, "TXT", " ".join(["v=spf1", *part, "-all"])) for name, part in zip(names, parts, strict=True))
    return (change(domain, "TXT", short, record.text), *below)


def _tidy(texts: Iterable[str]) -> list[str]:
    """The terms that can be read, or repaired so that they can, each once; of a modifier that is allowed once the first."""
    kept: dict[str, str] = {}
    for text in texts:
        for part in _readable(text):
            term = _parse(part) or _parse(_repaired(part))
            if term is None:
                continue
            once = isinstance(term, Modifier) and term.name in {"redirect", "exp"}
            kept.setdefault(term.name if once and isinstance(term, Modifier) else term.text.lower(), term.text)
    return list(kept.values())


def _without_tail(terms: Sequence[str]) -> list[str]:
    """The terms without the mechanisms behind `all`, which nobody gets to."""
    end = next((index for index, term in enumerate(terms) if _ALL.fullmatch(term)), len(terms))
    return [term for index, term in enumerate(terms) if index <= end or "=" in term.partition(":")[0]]


def _readable(text: str) -> list[str]:
    """The term without what no record may hold; control characters part terms, other characters just go."""
    if text.isascii() and text.isprintable():
        return [text]
    parted = "".join(" " if char < " " or char == "\xa0" else char for char in text)
    return "".join(char for char in parted if " " <= char <= "~").split()


def _repaired(text: str) -> str:
    """The term as it was probably meant."""
    text = text.strip("\"',;").rstrip(".")
    for wrong, right in _MISSPELT:
        text = wrong.sub(right, text)
    head, colon, rest = text.partition(":")
    address, slash, length = rest.partition("/")
    try:
        parsed = ip_address(address)
    except ValueError:
        bare, _, _ = text.partition("/")
        return bare
    qualifier = head[0] if head[:1] in "+?~-" and head else ""
    length = length.lstrip("0") or length[-1:]
    whole = f"{qualifier}ip{parsed.version}{colon}{parsed}"
    fits = length.isdigit() and len(length) <= 3 and int(length) <= parsed.max_prefixlen  # noqa: PLR2004
    return f"{whole}/{length}" if slash and fits else whole


@lru_cache(maxsize=2048)
def _parse(text: str) -> Directive | Modifier | None:
    record = parse_spf(f"v=spf1 {text}")
    return None if record.issues or len(record.terms) != 1 else record.terms[0]
