"""SendKit's ids stand for one UUID each, wherever that lies."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from berth_gateway.dialects.sendkit.ids import bounds, short


@given(st.uuids())
def test_an_id_leads_back_to_its_uuid(identity: UUID) -> None:
    found = bounds(short(identity).upper())
    assert found is not None
    low, high = found
    assert low <= identity <= high
    assert short(low) == short(high) == short(identity)


@given(st.text())
def test_what_is_no_id_stands_for_nothing(text: str) -> None:
    found = bounds(text)
    assert (found is not None) == (len(text) == 24 and all(character in "0123456789abcdefABCDEF" for character in text))
