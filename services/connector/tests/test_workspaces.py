"""Email workspaces as a whole: events in, work done on a real Postgres and vault, tokens of the token service, events out."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from berth_events.contracts import (
    AccountConnectionFailed,
    AccountRemoved,
    AccountResumed,
    AccountSuspended,
    AccountVerificationRequested,
    EmailWorkspaceCreated,
    EmailWorkspaceRejected,
    EmailWorkspaceRemoved,
    EmailWorkspaceVerified,
    Event,
    ImportedAccount,
    MailServer,
    VerificationEvent,
    WorkspaceImportRequested,
)
from berth_testing.canaries import Canaries
from berth_testing.token_service import MAIL_SCOPE, busy
from berth_vault import (
    Sealer,
    VaultWriter,
    generate_key,
)

SECRET = "s3cr~t.Value-of-the-App"
ADDRESS = "m0@acme.example"
SEALER = Sealer.from_text(generate_key().public_text)  # erases only


def rejection(events: list[Event]) -> str:
    [event] = [event for event in events if isinstance(event, EmailWorkspaceRejected)]
    return event.diagnosis.code


@pytest.mark.parametrize("provider", ["google", "microsoft"])
async def test_a_workspace_is_verified_and_its_mailboxes_connect(provider: str, bench: Any) -> None:
    secret = getattr(bench, provider)(ADDRESS)
    await bench.create(secret)
    await bench.settle()
    [verified] = await bench.events()
    assert isinstance(verified, EmailWorkspaceVerified)
    assert verified.credential_ref == bench.ref(1)
    account = bench.account()
    await bench.take(account)
    await bench.settle()
    [connected] = await bench.events(account.account_id)
    assert isinstance(connected, VerificationEvent)
    assert type(connected).__name__ == "AccountConnected", connected.verification.diagnosis
    assert connected.credential_ref == bench.ref(1)
    assert connected.verification.steps[0].protocol == "oauth"


@pytest.mark.parametrize("provider", ["google", "microsoft"])
async def test_an_account_may_arrive_before_its_workspace(provider: str, bench: Any) -> None:
    secret = getattr(bench, provider)(ADDRESS)
    await bench.deposit(secret)
    account = bench.account()
    await bench.take(account)
    await bench.work()
    assert await bench.said(account.account_id) == []
    reference = bench.ref(1)
    await bench.take(
        EmailWorkspaceCreated.model_validate(
            {**bench.ids, "name": "", "provider": provider, "credential_ref": reference, **bench.public}
        )
    )
    bench.advance(seconds=3)
    await bench.settle()
    assert await bench.said(account.account_id) == ["AccountConnected"]


async def rejected_google_key(bench: Any) -> str:
    account, key = bench.service.google_workspace(ADDRESS)
    account.keys.clear()  # deleted in the console
    return key


async def rejected_microsoft_secret(bench: Any) -> str:
    bench.microsoft(ADDRESS)
    return "another-value"


REJECTED = {
    "google": (rejected_google_key, "OAUTH_KEY_INVALID"),
    "microsoft": (rejected_microsoft_secret, "OAUTH_SECRET_INVALID"),
}


@pytest.mark.parametrize("provider", REJECTED)
async def test_a_rejected_workspace_stops_at_once(provider: str, bench: Any) -> None:
    """It is found once; each account is told once, nobody dials, and nobody asks for a token again."""
    make, code = REJECTED[provider]
    secret = await make(bench)
    accounts = [bench.account(f"m{number}@acme.example") for number in range(60)]
    await bench.create(secret)
    await bench.take(*accounts)
    await bench.settle()
    assert await bench.said() == ["EmailWorkspaceRejected"]
    assert rejection(await bench.events()) == code
    assert bench.asked <= 2
    for account in accounts:
        [failed] = await bench.events(account.account_id)
        assert isinstance(failed, AccountConnectionFailed)
        assert failed.verification.diagnosis
        assert failed.verification.diagnosis.code == code
        assert [step.name for step in failed.verification.steps if step.outcome == "failed"] == ["token"]
    bench.advance(days=3)
    assert await bench.settle() == 0
    assert bench.peer.connections == 0
    assert await bench.said() == ["EmailWorkspaceRejected"]


async def test_a_key_that_is_deleted_later_is_found_by_the_accounts(bench: Any) -> None:
    accounts = [bench.account(f"m{number}@acme.example") for number in range(30)]
    await bench.create(bench.google(*(account.address for account in accounts)))
    await bench.take(*accounts)
    await bench.settle()
    for known in bench.service.google.accounts.values():
        known.keys.clear()
    asked = bench.asked
    bench.advance(days=1.2)
    await bench.settle()
    assert await bench.said() == ["EmailWorkspaceVerified", "EmailWorkspaceRejected"]
    for account in accounts:
        assert await bench.said(account.account_id) == ["AccountConnected", "AccountDisconnected"]
    assert bench.asked - asked <= 8  # as many as ask side by side
    bench.advance(days=30)
    assert await bench.settle() == 0


async def test_new_credentials_bring_the_accounts_back(bench: Any) -> None:
    secret = bench.microsoft(ADDRESS)
    account = bench.account()
    await bench.create("another-value")
    await bench.take(account)
    await bench.settle()
    assert await bench.said(account.account_id) == ["AccountConnectionFailed"]
    await bench.replace(secret)
    await bench.settle()
    assert await bench.said() == ["EmailWorkspaceRejected", "EmailWorkspaceVerified"]
    assert await bench.said(account.account_id) == ["AccountConnectionFailed", "AccountConnected"]
    [*_, connected] = await bench.events(account.account_id)
    assert isinstance(connected, VerificationEvent)
    assert connected.credential_ref == bench.ref(2)


async def test_an_account_that_was_suspended_meanwhile_comes_back_when_it_is_resumed(bench: Any) -> None:
    secret = bench.microsoft(ADDRESS)
    account = bench.account()
    ids = account.model_dump(include={"account_id", "organization_id", "project_id"})
    await bench.create("another-value")
    await bench.take(account)
    await bench.settle()
    await bench.take(AccountSuspended(**ids))
    await bench.replace(secret)
    await bench.settle()
    assert await bench.said(account.account_id) == ["AccountConnectionFailed"]
    await bench.take(AccountResumed(**ids))
    await bench.settle()
    assert await bench.said(account.account_id) == ["AccountConnectionFailed", "AccountConnected"]


async def test_the_old_secret_works_until_the_new_one_is_proven(bench: Any) -> None:
    await bench.create(bench.microsoft(ADDRESS))
    account = bench.account()
    await bench.take(account)
    await bench.settle()
    await bench.replace("not-yet-propagated")
    bench.advance(days=1.2)
    await bench.settle()
    assert await bench.said() == ["EmailWorkspaceVerified", "EmailWorkspaceRejected"]
    [*_, rejected] = await bench.events()
    assert (rejected.credential_ref, rejected.proven_version) == (bench.ref(2), 1)
    assert await bench.said(account.account_id) == ["AccountConnected", "AccountChecked"]
    [*_, checked] = await bench.events(account.account_id)
    assert isinstance(checked, VerificationEvent)
    assert (checked.credential_ref, checked.verification.outcome) == (bench.ref(1), "connected")
    bench.application.secrets["third"] = float("inf")
    await bench.replace("third", 3)
    await bench.settle()
    bench.advance(days=1.2)
    await bench.settle()
    assert (await bench.said())[-1] == "EmailWorkspaceVerified"
    [*_, checked] = await bench.events(account.account_id)
    assert isinstance(checked, VerificationEvent)
    assert checked.credential_ref == bench.ref(3)


async def test_when_the_old_secret_ends_after_the_new_one_was_rejected_everybody_is_told(bench: Any) -> None:
    await bench.create(bench.microsoft(ADDRESS))
    account = bench.account()
    await bench.take(account)
    await bench.settle()
    await bench.replace("mistyped")
    await bench.settle()
    bench.application.secrets.clear()
    bench.advance(days=1.2)
    await bench.settle()
    assert await bench.said() == ["EmailWorkspaceVerified", "EmailWorkspaceRejected", "EmailWorkspaceRejected"]
    [*_, rejected] = await bench.events()
    assert (rejected.credential_ref, rejected.proven_version) == (bench.ref(2), None)
    assert rejected.diagnosis.code == "OAUTH_SECRET_INVALID"
    assert await bench.said(account.account_id) == ["AccountConnected", "AccountDisconnected"]
    bench.advance(days=30)
    assert await bench.settle() == 0


async def test_without_the_old_secret_a_rejected_new_one_pauses_the_accounts(bench: Any) -> None:
    """Somebody erased it: nobody is to sign in with it any more."""
    await bench.create(bench.microsoft(ADDRESS))
    accounts = [bench.account(), bench.account("m1@acme.example")]
    bench.application.mailboxes.add("m1@acme.example")
    await bench.take(*accounts)
    await bench.settle()
    await bench.replace("wrong")
    await bench.settle()
    async with bench.vault_pool.acquire() as connection:
        await connection.execute("DELETE FROM vault.credential WHERE version = 1")
    asked = bench.asked
    outages = bench.handler._by_kind["recheck"]._outages
    noted = len(outages._everywhere.results)
    bench.advance(days=1.2)
    await bench.settle()
    assert len(outages._everywhere.results) == noted, "nobody was asked, so nothing is known of the mail service"
    for account in accounts:
        assert await bench.said(account.account_id) == ["AccountConnected", "AccountDisconnected"]
        [*_, disconnected] = await bench.events(account.account_id)
        assert disconnected.verification.diagnosis.code == "OAUTH_SECRET_INVALID"
    assert bench.asked == asked
    bench.application.secrets["third"] = float("inf")
    await bench.replace("third", 3)
    await bench.settle()
    for account in accounts:
        assert (await bench.said(account.account_id))[-1] == "AccountReconnected"


async def test_the_old_secret_may_end_before_the_new_one_is_proven(bench: Any) -> None:
    await bench.create(bench.microsoft(ADDRESS))
    account = bench.account()
    await bench.take(account)
    await bench.settle()
    bench.application.secrets = {"new": float("inf")}
    bench.advance(days=1.2)  # the token has ended too
    async with bench.pool.acquire() as connection:  # the re-check comes first
        await connection.execute(
            "UPDATE work SET run_at = run_at - interval '1 hour' WHERE key = $1", account.account_id
        )
    await bench.replace("new")
    await bench.settle()
    assert await bench.said() == ["EmailWorkspaceVerified", "EmailWorkspaceVerified"]
    assert await bench.said(account.account_id) == ["AccountConnected", "AccountChecked"]


async def test_missing_delegation_is_found_with_an_imported_mailbox(bench: Any) -> None:
    """The key alone is fine. The workspace tries again by itself, and then its accounts."""
    key = bench.google(ADDRESS, scopes=())
    await bench.create(key)
    await bench.settle()
    assert await bench.said() == ["EmailWorkspaceVerified"]
    accounts = [bench.account(f"m{number}@acme.example") for number in range(60)]
    bench.service.google.users.update(account.address for account in accounts)
    await bench.take(
        WorkspaceImportRequested(
            **bench.ids,
            import_id=uuid4(),
            part=1,
            parts=1,
            accounts=tuple(ImportedAccount(account_id=one.account_id, address=one.address) for one in accounts),
        ),
        *accounts,
    )
    await bench.settle()
    assert await bench.said() == ["EmailWorkspaceVerified", "EmailWorkspaceRejected"]
    assert rejection(await bench.events()) == "DWD_NOT_AUTHORISED"
    assert await bench.verdicts() == ["AccountConnectionFailed"] * len(accounts)
    assert bench.asked <= 16  # two refusals, each looked into scope by scope
    account = list(bench.service.google.accounts.values())[-1]
    bench.service.google.delegate("acme.example", account, MAIL_SCOPE)
    bench.advance(minutes=15)
    await bench.settle()
    assert await bench.said() == ["EmailWorkspaceVerified", "EmailWorkspaceRejected", "EmailWorkspaceVerified"]
    verdicts = await bench.verdicts()
    assert verdicts.count("AccountConnected") == len(accounts)


async def test_a_mailbox_of_a_foreign_domain_does_not_stop_the_others(bench: Any) -> None:
    key = bench.google(ADDRESS)
    good, foreign = bench.account(), bench.account("you@other.example")
    await bench.create(key)
    await bench.take(foreign)
    await bench.work()
    await bench.take(good)
    await bench.settle()
    bench.advance(minutes=8)
    await bench.settle()
    assert (await bench.said())[-1] == "EmailWorkspaceVerified"
    assert (await bench.said(good.account_id))[-1] == "AccountConnected"
    [failed, *_] = await bench.events(foreign.account_id)
    assert isinstance(failed, AccountConnectionFailed)
    assert failed.verification.diagnosis
    assert failed.verification.diagnosis.code == "DWD_NOT_AUTHORISED"


async def test_somebody_may_have_consented_meanwhile(bench: Any) -> None:
    """Nobody tells us of a consent: a reconnect looks whether the workspace works by now."""
    secret = bench.microsoft(ADDRESS, roles=())
    account = bench.account()
    await bench.create(secret)
    await bench.take(account)
    await bench.settle()
    assert rejection(await bench.events()) == "OAUTH_CONSENT_MISSING"
    bench.application.roles = ("IMAP.AccessAsApp", "SMTP.SendAsApp")
    await bench.take(
        AccountVerificationRequested.model_validate(
            {
                **account.model_dump(
                    include={
                        "account_id",
                        "organization_id",
                        "project_id",
                        "address",
                        "imap",
                        "smtp",
                        "credential_ref",
                        "workspace_id",
                    }
                ),
                "reason": "reconnect",
            }
        )
    )
    await bench.settle()
    bench.advance(seconds=3)
    await bench.settle()
    assert (await bench.said())[-1] == "EmailWorkspaceVerified"
    assert (await bench.said(account.account_id))[-1] == "AccountConnected"


SMTP = MailServer(host="mail.test.example", port=465, security="tls", username=ADDRESS, mechanism="xoauth2")


async def test_a_role_that_is_missing_is_found_before_the_first_mailbox(bench: Any) -> None:
    """It is tried again by itself: consents spread slowly, and nobody tells us of them."""
    await bench.create(bench.microsoft(ADDRESS, roles=("IMAP.AccessAsApp",)))
    await bench.settle()
    assert rejection(await bench.events()) == "OAUTH_ROLE_MISSING"
    accounts = [bench.account(f"m{number}@acme.example", smtp=SMTP, import_id=uuid4()) for number in range(30)]
    await bench.take(*accounts)
    await bench.settle()
    assert await bench.verdicts() == []  # put off
    assert bench.peer.connections == 0
    bench.application.roles = ("IMAP.AccessAsApp", "SMTP.SendAsApp")
    bench.advance(minutes=8)
    await bench.work()
    assert await bench.said() == ["EmailWorkspaceRejected", "EmailWorkspaceVerified"]


async def test_a_role_that_is_taken_away_later_stops_the_workspace(bench: Any) -> None:
    await bench.create(bench.microsoft(ADDRESS))
    accounts = [bench.account(f"m{number}@acme.example", imap=SMTP, smtp=None) for number in range(30)]
    await bench.settle()
    bench.application.roles = ("SMTP.SendAsApp",)
    bench.advance(hours=2)
    await bench.take(*accounts)
    await bench.settle()
    assert await bench.said() == ["EmailWorkspaceVerified", "EmailWorkspaceRejected"]
    assert rejection(await bench.events()) == "OAUTH_ROLE_MISSING"
    assert await bench.verdicts() == ["AccountConnectionFailed"] * 30
    assert bench.asked <= 4


async def test_a_role_that_only_some_mailboxes_need_stops_no_others(bench: Any) -> None:
    reading, both = bench.account(), bench.account("m1@acme.example", smtp=SMTP)
    await bench.take(reading, both)
    await bench.create(bench.microsoft(ADDRESS, "m1@acme.example", roles=("IMAP.AccessAsApp",)))
    bench.advance(seconds=3)
    await bench.settle()
    assert await bench.said() == ["EmailWorkspaceVerified"]
    assert await bench.said(reading.account_id) == ["AccountConnected"]
    [failed] = await bench.events(both.account_id)
    assert failed.verification.diagnosis.code == "OAUTH_ROLE_MISSING"
    assert "SMTP.SendAsApp" in failed.verification.diagnosis.meaning


@pytest.mark.parametrize("provider", ["google", "microsoft"])
async def test_a_provider_that_is_away_says_nothing_of_the_workspace(provider: str, bench: Any) -> None:
    secret = getattr(bench, provider)(ADDRESS)
    bench.service.identity.fault = busy()
    account = bench.account()
    await bench.create(secret)
    await bench.take(account)
    await bench.settle()
    assert await bench.said() == []
    [failed] = await bench.events(account.account_id)
    assert isinstance(failed, AccountConnectionFailed)
    assert failed.verification.diagnosis
    assert failed.verification.diagnosis.code == "PROVIDER_TEMPORARY"
    bench.service.identity.fault = None
    bench.advance(minutes=5)
    await bench.settle()
    assert await bench.said() == ["EmailWorkspaceVerified"]
    assert (await bench.said(account.account_id))[-1] == "AccountConnected"


async def test_a_removed_workspace_is_forgotten(bench: Any) -> None:
    secret = bench.microsoft(ADDRESS)
    created = await bench.create(secret, secret_expires_at=bench.clock.now() + timedelta(days=40))
    account = bench.account()
    await bench.take(EmailWorkspaceRemoved(**bench.ids), account)
    async with bench.vault_pool.acquire() as connection:
        await VaultWriter(SEALER).delete(connection, created.credential_ref.credential_id)
    await bench.settle()
    assert await bench.said() == []
    assert await bench.said(account.account_id) == []
    await bench.take(
        AccountRemoved(
            **{name: value for name, value in bench.ids.items() if name != "workspace_id"},
            account_id=account.account_id,
            address=account.address,
            seat_kind="monitoring",
            reason="workspace_removed",
        )
    )
    bench.advance(days=60)
    assert await bench.settle() == 0
    async with bench.pool.acquire() as connection:
        for table in ("account", "email_workspace", "work"):
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_an_import_is_paced_and_asks_once_for_each_mailbox(bench: Any) -> None:
    key = bench.google("m0@acme.example")
    accounts = [bench.account(f"m{number}@acme.example") for number in range(100)]
    bench.service.google.users.update(account.address for account in accounts)
    await bench.create(key)
    await bench.settle()
    asked = bench.asked
    await bench.take(*accounts)
    runs = []
    while done := await bench.work():
        runs.append(done)
    assert max(runs) == 20  # of one mail host at once
    assert bench.asked - asked == len(accounts)
    assert await bench.verdicts() == ["AccountConnected"] * len(accounts)


async def test_no_secret_is_written_anywhere(bench: Any) -> None:
    canaries = Canaries()
    canaries.add("secret", SECRET)
    await bench.create(bench.microsoft(ADDRESS))
    await bench.take(bench.account(), bench.account("nobody@acme.example"))
    await bench.settle()
    for token in bench.service.identity.tokens._issued:
        canaries.add("token", token)
    async with bench.pool.acquire() as connection:
        for table in ("event", "outbox", "work", "account", "email_workspace"):
            rows = await connection.fetch(f"SELECT t::text FROM {table} t")
            assert rows
            for row in rows:
                canaries.in_text(table, row[0])
    assert canaries.leaks == []
