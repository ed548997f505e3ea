"""The gateway's database, and what its role may do."""

import asyncpg
import pytest

from berth_testing.gateway_harness import GatewayHarness


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "ALTER TABLE account ADD COLUMN mine int",
        "DROP TABLE feed",
        "SELECT sealed FROM vault.credential",
        "UPDATE vault.credential SET owner_id = gen_random_uuid()",
        "CREATE ROLE mine",
    ],
)
async def test_the_role_may_not(harness: GatewayHarness, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await harness.pool.execute(statement)


async def test_results_of_the_past_are_forgotten(harness: GatewayHarness) -> None:
    await harness.owner.execute(
        """INSERT INTO gateway_views_v1.verification
           SELECT gen_random_uuid(), 'failed', gen_random_uuid(), 1, '{}', now() - age
             FROM unnest(ARRAY['8 days', '6 days']::interval[]) AS age"""
    )
    await harness.gateway.housekeeping.tidy()
    assert await harness.owner.fetchval("SELECT count(*) FROM verification") == 1
