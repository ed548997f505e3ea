"""Imports through workspaces that are rejected: nobody is failed for it, and all goes on when the workspace works."""

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

import pytest

from berth_events.contracts import AccountRequested, ImportedAccount, WorkspaceImportRequested
from berth_testing.token_service import MAIL_SCOPE

IMPORT = uuid4()


def imported(bench: Any, count: int) -> list[AccountRequested]:
    return [bench.account(f"m{number}@acme.example", import_id=IMPORT) for number in range(count)]


def asked_for(bench: Any, accounts: list[AccountRequested]) -> WorkspaceImportRequested:
    return WorkspaceImportRequested(
        **bench.ids,
        import_id=IMPORT,
        part=1,
        parts=1,
        accounts=tuple(ImportedAccount(account_id=one.account_id, address=one.address) for one in accounts),
    )


async def results(bench: Any, accounts: list[AccountRequested]) -> Counter[str]:
    """What was said of all accounts; of each one thing at most."""
    said = [await bench.said(account.account_id) for account in accounts]
    assert all(len(one) <= 1 for one in said), said
    return Counter(one[0] for one in said if one)


async def test_a_wrong_secret_stops_an_import_before_any_mailbox_is_tried(bench: Any) -> None:
    accounts = imported(bench, 30)
    secret = bench.microsoft(*(account.address for account in accounts))
    await bench.create("another-value")
    await bench.take(asked_for(bench, accounts), *accounts)
    await bench.settle()
    for _ in range(3):
        bench.advance(seconds=3)
        await bench.settle()
    assert await bench.said() == ["EmailWorkspaceRejected"]
    assert await results(bench, accounts) == {}
    assert (bench.asked, bench.peer.connections) == (1, 0)
    bench.advance(days=30)
    assert await bench.settle() == 0
    await bench.replace(secret)
    await bench.settle()
    assert await results(bench, accounts) == {"AccountConnected": 30}


async def test_a_secret_that_ends_in_the_middle_leaves_the_rest_for_later(bench: Any) -> None:
    accounts = imported(bench, 50)
    await bench.create(bench.microsoft(*(account.address for account in accounts)))
    await bench.settle()
    await bench.take(asked_for(bench, accounts), *accounts)
    for _ in range(2):
        await bench.work()
    tried = (await results(bench, accounts))["AccountConnected"]
    assert 0 < tried < 50
    bench.application.secrets = {"new": float("inf")}
    bench.advance(hours=2)  # no token lasts so long
    await bench.settle()
    assert await results(bench, accounts) == {"AccountConnected": tried}
    assert (await bench.said())[-1] == "EmailWorkspaceRejected"
    await bench.replace("new")
    await bench.settle()
    assert await results(bench, accounts) == {"AccountConnected": 50}


async def test_a_workspace_that_is_rejected_again_fails_nobody(bench: Any) -> None:
    """What waits for its first result waits again."""
    accounts = imported(bench, 30)
    bench.microsoft(*(account.address for account in accounts))
    await bench.create("another-value")
    await bench.take(*accounts)
    await bench.settle()
    bench.advance(seconds=3)
    await bench.settle()
    bench.application.secrets = {"new": float("inf")}
    await bench.replace("new")
    await bench.work()  # the workspace
    await bench.work()  # some of the accounts
    bench.application.secrets = {"newer": float("inf")}
    bench.advance(hours=2)  # no token lasts so long
    await bench.settle()
    connected = (await results(bench, accounts))["AccountConnected"]
    assert 0 < connected < 30
    await bench.replace("newer", 3)
    await bench.settle()
    assert await results(bench, accounts) == {"AccountConnected": 30}


@pytest.mark.parametrize("import_first", [True, False])
async def test_a_missing_consent_stops_an_import_whatever_comes_first(bench: Any, *, import_first: bool) -> None:
    """Topics have no common order: accounts may come before their import, which is what the workspace is proven for."""
    accounts = imported(bench, 30)
    await bench.create(bench.google("m0@acme.example", scopes=()))
    await bench.settle()
    bench.service.google.users.update(account.address for account in accounts)
    await bench.take(*([asked_for(bench, accounts)] if import_first else []), *accounts)
    for _ in range(3):
        await bench.settle()
        bench.advance(seconds=1)
    assert await bench.said() == ["EmailWorkspaceVerified", "EmailWorkspaceRejected"]
    assert await results(bench, accounts) == {}
    bench.service.google.delegate("acme.example", list(bench.service.google.accounts.values())[-1], MAIL_SCOPE)
    bench.advance(minutes=15)
    await bench.settle()
    assert await results(bench, accounts) == {"AccountConnected": 30}


async def test_a_foreign_domain_in_an_import_fails_alone(bench: Any) -> None:
    good, foreign = imported(bench, 2), [bench.account(f"m{each}@other.example", import_id=IMPORT) for each in range(2)]
    await bench.create(bench.google(*(account.address for account in good)))
    await bench.settle()
    await bench.take(*foreign, *good)
    for _ in range(3):
        await bench.settle()
        bench.advance(seconds=1)
    assert await bench.said() == ["EmailWorkspaceVerified"]
    assert await results(bench, good) == {"AccountConnected": 2}
    assert await results(bench, foreign) == {"AccountConnectionFailed": 2}


async def test_whoever_connects_one_account_is_told_at_once(bench: Any) -> None:
    bench.microsoft("m0@acme.example")
    await bench.create("another-value")
    await bench.settle()
    account = bench.account()
    await bench.take(account)
    await bench.settle()
    assert await bench.said(account.account_id) == ["AccountConnectionFailed"]


@pytest.mark.parametrize("first", ["account", "workspace"])
async def test_an_account_is_not_forgotten_while_its_workspace_is_being_proven(bench: Any, first: str) -> None:
    """Whichever of the two transactions is first, the account is looked at afterwards."""
    [account] = imported(bench, 1)
    bench.microsoft(account.address)
    await bench.create("another-value")
    await bench.settle()
    await bench.take(account)
    bench.application.secrets = {"new": float("inf")}
    async with bench.pool.acquire() as connection:
        [job] = await bench.queue.claim(connection, 5)
    put_off = await bench.handler.perform(job)
    await bench.replace("new")
    async with bench.pool.acquire() as connection:
        [proof] = await bench.queue.claim(connection, 5)
    jobs = {"account": (job, put_off), "workspace": (proof, await bench.handler.perform(proof))}
    second = "workspace" if first == "account" else "account"
    began, may_end = asyncio.Event(), asyncio.Event()

    async def record(name: str, *, slowly: bool) -> None:
        async with bench.pool.acquire() as connection, connection.transaction():
            await bench.queue.finish(connection, jobs[name][0])
            await bench.handler.record(connection, *jobs[name])
            if slowly:
                began.set()
                await may_end.wait()

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(record(first, slowly=True))
        await began.wait()
        other = group.create_task(record(second, slowly=False))
        await asyncio.sleep(0.2)
        assert not other.done()
        may_end.set()
    await bench.settle()
    assert await bench.said(account.account_id) == ["AccountConnected"]
