"""The registrable domain by the public suffix list: for display, for registries, and as older DMARC receivers see it."""

from functools import cache

from publicsuffixlist import PublicSuffixList

__all__ = ["registrable"]


@cache
def _list() -> PublicSuffixList:
    return PublicSuffixList()


def registrable(domain: str, *, known_only: bool = False) -> str | None:
    """The public suffix of a name and one label more; None when there is no such label.

    Args:
        domain: A name in A-labels.
        known_only: Whether the top-level domain must be one that the list knows.
    """
    found: str | None = _list().privatesuffix(domain, accept_unknown=not known_only)
    return found
