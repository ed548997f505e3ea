"""What an audit has beside the resolver. What is missing is not asked, and nothing is said of it."""

from dataclasses import dataclass
from typing import Final

from berth_dns_auditor.checks.block_lists import NO_LISTS, BlockLists
from berth_dns_auditor.checks.delegation import Authorities
from berth_dns_auditor.checks.dnssec import Signatures
from berth_dns_auditor.checks.mta_sts import Policies
from berth_dns_auditor.checks.registration import Registry
from berth_dns_auditor.checks.web_site import Sites

__all__ = ["RESOLVER_ONLY", "Means"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """Ways to learn more than a resolver tells.

    Attributes:
        signatures: The signatures of zones.
        policies: MTA-STS policies.
        sites: Web sites.
        registry: Registrations.
        authorities: Single name servers.
        lists: Block lists.
        type99: Whether the SPF record type is asked for.
    """

    signatures: Signatures | None = None
    policies: Policies | None = None
    sites: Sites | None = None
    registry: Registry | None = None
    authorities: Authorities | None = None
    lists: BlockLists = NO_LISTS
    type99: bool = False


RESOLVER_ONLY: Final = Means()
