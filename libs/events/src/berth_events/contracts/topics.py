"""The topics, one per kind of aggregate. They are created explicitly; the partition count is a compatibility decision."""

from dataclasses import dataclass
from typing import Final

__all__ = [
    "ACCOUNTS",
    "BILLING",
    "CATALOGUE",
    "DOMAINS",
    "IMPORTS",
    "PARTITIONS",
    "TOPICS",
    "VERIFICATIONS",
    "WORKSPACES",
    "About",
]

ACCOUNTS: Final = "berth.accounts.v1"
WORKSPACES: Final = "berth.workspaces.v1"
IMPORTS: Final = "berth.imports.v1"
VERIFICATIONS: Final = "berth.verifications.v1"
DOMAINS: Final = "berth.domains.v1"
BILLING: Final = "berth.billing.v1"

TOPICS: Final = (ACCOUNTS, WORKSPACES, IMPORTS, VERIFICATIONS, DOMAINS, BILLING)

#: Divides by 2, 3, 4 and 6 consumers. Changing it re-keys every aggregate.
PARTITIONS: Final = 12


@dataclass(frozen=True, slots=True)
class About:
    """What the catalogue says of a topic: the `source` of its events, the aggregate whose id is the key, a summary."""

    source: str
    aggregate: str
    summary: str


CATALOGUE: Final = {
    ACCOUNTS: About("/berth/gateway", "account", "Accounts that platform teams asked for, changed and gave up."),
    WORKSPACES: About(
        "/berth/gateway", "email workspace", "Email workspaces, and the imports of many addresses through them."
    ),
    IMPORTS: About("/berth/gateway", "import", "How far imports of many addresses are."),
    VERIFICATIONS: About(
        "/berth/connector", "account or email workspace", "Whether mailboxes and workspaces work, and why not."
    ),
    DOMAINS: About("/berth/dns-auditor", "domain", "What the DNS says about the domains of accounts."),
    BILLING: About("/berth/billing", "organization", "Subscriptions, their limits, and the seats to be invoiced."),
}
