"""The topics, one per kind of aggregate. They are created explicitly; the partition count is a compatibility decision."""

from typing import Final

__all__ = ["ACCOUNTS", "BILLING", "DOMAINS", "PARTITIONS", "TOPICS", "VERIFICATIONS", "WORKSPACES"]

ACCOUNTS: Final = "berth.accounts.v1"
WORKSPACES: Final = "berth.workspaces.v1"
VERIFICATIONS: Final = "berth.verifications.v1"
DOMAINS: Final = "berth.domains.v1"
BILLING: Final = "berth.billing.v1"

TOPICS: Final = (ACCOUNTS, WORKSPACES, VERIFICATIONS, DOMAINS, BILLING)

#: Divides by 2, 3, 4 and 6 consumers. Changing it re-keys every aggregate.
PARTITIONS: Final = 12
