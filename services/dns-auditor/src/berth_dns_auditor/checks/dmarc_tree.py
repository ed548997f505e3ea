"""The DMARC tree walk (RFC 9989 §4.10): which record applies to a domain, and which organization it belongs to."""

from dataclasses import dataclass
from typing import Final

from berth_dns_auditor.checks.dmarc_record import DmarcRecord, is_dmarc, parse_dmarc
from berth_dns_auditor.checks.outcome import ask_all
from berth_dns_auditor.resolver import Answer, Resolver, TemporaryDnsError

__all__ = ["Place", "Walk", "walk_from", "walk_names"]

LABELS_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Place:
    """One step of the walk: a domain, and the DMARC records at `_dmarc` below it.

    Attributes:
        record: The record; several at one name are all discarded (step 2), and the walk goes on.
    """

    domain: str
    answer: Answer
    texts: tuple[str, ...]
    record: DmarcRecord | None


@dataclass(frozen=True, slots=True)
class Walk:
    """The steps that were taken, from the domain itself upwards.

    Attributes:
        places: The steps, the domain first.
        error: Why the walk could not go on, when a step got no definite answer.
    """

    places: tuple[Place, ...]
    error: TemporaryDnsError | None = None

    @property
    def organizational(self) -> str:
        """The organizational domain (§4.10.2); reliable only when there is no error."""
        found = [(place.domain, place.record) for place in self.places if place.record]
        start = self.places[0].domain
        for domain, record in found:
            if record.psd == "n":
                return domain
            if record.psd == "y" and domain != start:
                depth = domain.count(".") + 2
                return ".".join(start.split(".")[-depth:])
        return found[-1][0] if found else start

    @property
    def applicable(self) -> Place | None:
        """The step whose record applies (§4.10.1): the domain's, else its organization's, else its public suffix's."""
        holders = {place.domain: place for place in self.places if place.record}
        suffixes = [place for place in holders.values() if place.record and place.record.psd == "y"]
        own, organization = holders.get(self.places[0].domain), holders.get(self.organizational)
        return own or organization or next(iter(suffixes), None)


def walk_names(domain: str) -> tuple[str, ...]:
    """The domains of the steps: the domain, then its parents of seven labels or fewer, the top-level domain last."""
    labels = domain.split(".")
    parents = labels[-(LABELS_MAX - 1) :] if len(labels) >= LABELS_MAX else labels[1:]
    return (domain, *(".".join(parents[index:]) for index in range(len(parents))))


async def walk_from(resolver: Resolver, domain: str) -> Walk:
    """Walk up from a domain until a record says psd=n or psd=y, or no labels are left.

    The steps are asked at once: there are eight at most, and mostly two.

    Raises:
        TemporaryDnsError: the first step, at the domain itself, got no definite answer.
    """
    names = walk_names(domain)
    replies = await ask_all(resolver, ((f"_dmarc.{name}", "TXT") for name in names))
    places: list[Place] = []
    for name, reply in zip(names, replies, strict=True):
        if isinstance(reply, TemporaryDnsError):
            if not places:
                raise reply
            return Walk(tuple(places), reply)
        texts = tuple([text for text in reply.records if is_dmarc(text)])
        place = Place(name, reply, texts, parse_dmarc(texts[0]) if len(texts) == 1 else None)
        places.append(place)
        if place.record and place.record.psd != "u":
            break
    return Walk(tuple(places))
