"""Hostile servers: each verification ends in time, with a diagnosis, and leaves nothing behind."""

import asyncio
import logging
from collections import defaultdict

import pytest

from berth_connector.probe import Limits
from berth_events.contracts import Verification
from berth_testing.corpus import open_stage
from berth_testing.hostile import HOSTILE, Hostile, meet
from berth_testing.hostile.runs import LIMITS, descriptors

#: Whoever has accepted the password may fall silent: it is proven.
BEHIND_THE_SIGN_IN = ("imap EXAMINE: ", "smtp NOOP: ")


async def test_two_hundred_hostile_servers_end_in_time_and_leave_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "asyncio")
    found: defaultdict[str, list[Verification]] = defaultdict(list)

    def seen(server: Hostile, verification: Verification) -> None:
        found[server.name].append(verification)

    async with open_stage() as stage:
        before = descriptors(), len(asyncio.all_tasks())
        first, last = [one async for one in meet(stage, len(HOSTILE), every=(len(HOSTILE) + 1) // 2, seen=seen)]
        await asyncio.sleep(0.1)
        after = descriptors(), len(asyncio.all_tasks())
    assert last.runs >= 200
    assert last.slowest_s < LIMITS.total + 1
    assert (last.descriptors, last.tasks) == (first.descriptors, first.tasks)
    assert after <= before
    assert last.resident_mb < first.resident_mb + 30
    assert found.keys() == {server.name for server in HOSTILE}
    for name, verifications in found.items():
        for one in verifications:
            assert one.diagnosis or name.startswith(BEHIND_THE_SIGN_IN), name
            assert one.diagnosis is None or one.diagnosis.code != "AUTH_BAD_CREDENTIALS", name
            assert len(one.model_dump_json()) < 100_000


async def test_nothing_secret_is_sent_to_who_breaks_tls() -> None:
    async with open_stage() as stage:
        for server in HOSTILE:
            if "STARTTLS: injection" in server.name:
                found = await stage.verify(
                    server.protocol, server.script, security="starttls", limits=Limits(reply=1, tls=1, total=3)
                )
                sent = [line for step in found.steps for line in step.transcript if line.startswith("C: ")]
                assert found.diagnosis
                assert found.diagnosis.code == "PROTOCOL_ERROR"
                assert not any("AUTH" in line or "LOGIN" in line for line in sent)
