"""Two requests at the same moment for the last free seat: exactly one is accepted, every time."""

import asyncio
from collections import Counter

import pytest

from berth_testing.mail_bed import MailBed
from berth_testing.mail_users import bulk_user
from berth_testing.platform import Platform
from berth_testing.waiting import eventually

ROUNDS = 100
SEATS = 3


@pytest.mark.timeout(180)
async def test_one_of_two_gets_the_last_seat(platform: Platform, mail_bed: MailBed) -> None:
    tenant = await platform.tenant(monitoring=SEATS)

    def body(number: int) -> dict[str, object]:
        address, password = bulk_user(number)
        return {"email": address, "provider": "custom", "password": password, **mail_bed.servers()}

    for number in range(SEATS - 1):
        await tenant.connect(**body(number))
    outcomes: Counter[tuple[int, ...]] = Counter()
    for round_ in range(ROUNDS):
        rivals = [tenant.http.post("/v1/accounts", json=body(10 + 2 * round_ + rival)) for rival in range(2)]
        responses = sorted(await asyncio.gather(*rivals), key=lambda response: response.status_code)
        outcomes[tuple(response.status_code for response in responses)] += 1
        refused = responses[1].json()
        assert refused["type"] == "urn:berth:problem:seat-limit-reached"
        assert (refused["limit"], refused["used"]) == (SEATS, SEATS)
        removed = await tenant.http.delete(responses[0].headers["Location"])
        assert removed.status_code == 204
    assert outcomes == {(202, 403): ROUNDS}

    at_gateway = await platform.seats_at_gateway(tenant.organization_id)
    assert at_gateway == {"monitoring": SEATS - 1, "spam_check": 0}
    await eventually(
        lambda: platform.seats_at_billing(tenant.organization_id), lambda used: used == at_gateway, within=20
    )
