"""Events on the wire: CloudEvents in binary and in structured mode."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_events.contracts import (
    AccountSuspended,
    Envelope,
    Headers,
    InvalidRecord,
    UnknownEvent,
    from_binary,
    to_binary,
)
from berth_testing.events import envelopes

ACCOUNT = UUID("0199f2f4-6d4b-7c1e-9a37-5d6f0e4a8b21")
ENVELOPE = Envelope(
    event_id=UUID("7b1b9a3c-9df5-5c39-8a39-b04be3a2a6f4"),
    source="/berth/gateway",
    sequence=3,
    time=datetime(2026, 11, 21, 9, 30, 0, 250_000, tzinfo=UTC),
    data=AccountSuspended(
        account_id=ACCOUNT, organization_id=UUID(int=1), project_id=UUID(int=2), reason="vacation until März"
    ),
    correlation_id=UUID(int=7),
    causation_id=UUID(int=8),
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
)
HEADERS, VALUE = to_binary(ENVELOPE)


def changed(**headers: bytes | None) -> Headers:
    """The headers with some replaced or (None) left out."""
    merged = dict(HEADERS) | {name.replace("content_type", "content-type"): raw for name, raw in headers.items()}
    return tuple((name, raw) for name, raw in merged.items() if raw is not None)


def structured(
    document: object, content_type: bytes = b"application/cloudevents+json; charset=UTF-8"
) -> tuple[Headers, bytes]:
    return (("content-type", content_type),), json.dumps(document).encode()


DOCUMENT = {name.removeprefix("ce_"): raw.decode() for name, raw in HEADERS if name.startswith("ce_")} | {
    "datacontenttype": "application/json",
    "data": json.loads(VALUE),
}


def test_the_headers_of_binary_mode() -> None:
    assert {name: raw.decode() for name, raw in HEADERS} == {
        "ce_specversion": "1.0",
        "ce_id": "7b1b9a3c-9df5-5c39-8a39-b04be3a2a6f4",
        "ce_source": "/berth/gateway",
        "ce_type": "AccountSuspended",
        "ce_time": "2026-11-21T09:30:00.250000+00:00",
        "ce_subject": str(ACCOUNT),
        "ce_partitionkey": str(ACCOUNT),
        "ce_sequence": "00000000000000000003",
        "ce_dataschema": "urn:berth:event:AccountSuspended:1",
        "ce_correlationid": str(UUID(int=7)),
        "ce_causationid": str(UUID(int=8)),
        "ce_traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "content-type": "application/json",
    }
    assert json.loads(VALUE) == {
        "account_id": str(ACCOUNT),
        "organization_id": str(UUID(int=1)),
        "project_id": str(UUID(int=2)),
        "reason": "vacation until März",
    }
    assert ENVELOPE.key == str(ACCOUNT).encode()


@given(envelope=envelopes())
def test_what_was_written_is_read(envelope: Envelope) -> None:
    headers, value = to_binary(envelope)
    assert from_binary(headers, value) == envelope
    assert from_binary(dict(headers), value) == envelope


@given(envelope=envelopes())
def test_structured_mode_is_read(envelope: Envelope) -> None:
    headers, value = to_binary(envelope)
    attributes = {name.removeprefix("ce_"): raw.decode() for name, raw in headers if name.startswith("ce_")}
    assert from_binary(*structured(attributes | {"data": json.loads(value)})) == envelope


def test_the_trace_of_the_transport_comes_first() -> None:
    other = b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-00"
    for headers, value in ((changed(traceparent=other), VALUE), structured(DOCUMENT)):
        read = from_binary((*headers, ("traceparent", other)), value)
        assert isinstance(read, Envelope)
        assert read.traceparent == other.decode()


@pytest.mark.parametrize(
    ("type_name", "version"), [("AccountSuspended", 2), ("AccountTeleported", 1), ("AccountTeleported", 7)]
)
def test_a_newer_type_or_version_is_unknown_and_no_error(type_name: str, version: int) -> None:
    schema = f"urn:berth:event:{type_name}:{version}".encode()
    headers = changed(ce_type=type_name.encode(), ce_dataschema=schema)
    for value in (VALUE, b'{"account": "laid out differently"}'):
        assert from_binary(headers, value) == UnknownEvent(
            type=type_name, version=version, stream_id=ACCOUNT, sequence=3
        )


def test_unknown_attributes_and_fields_are_ignored() -> None:
    value = json.dumps(json.loads(VALUE) | {"mood": "sunny"}).encode()
    assert from_binary(changed(ce_comexampleextension=b"x", other=b"\xff"), value) == ENVELOPE
    assert from_binary(*structured(DOCUMENT | {"comexampleextension": 5, "dataref": None})) == ENVELOPE


def test_optional_attributes_may_be_absent() -> None:
    read = from_binary(
        changed(ce_correlationid=None, ce_causationid=None, ce_traceparent=None, traceparent=None, content_type=None),
        VALUE,
    )
    assert isinstance(read, Envelope)
    assert (read.correlation_id, read.causation_id, read.traceparent) == (None, None, None)


REQUIRED = [
    "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "ce_sequence", "ce_dataschema",
]  # fmt: skip


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_header_is_named(name: str) -> None:
    with pytest.raises(InvalidRecord, match=f"the header {name} is missing"):
        from_binary(changed(**{name: None}), VALUE)
    document = {key: text for key, text in DOCUMENT.items() if key != name.removeprefix("ce_")}
    with pytest.raises(InvalidRecord, match=f"the header {name} is missing"):
        from_binary(*structured(document))


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        *((name, b"\xff\xfe") for name in REQUIRED),
        ("ce_specversion", b"0.3"),
        ("ce_id", b"7"),
        ("ce_source", b""),
        ("ce_type", b""),
        ("ce_time", b"yesterday"),
        ("ce_time", b"2026-11-21T09:30:00"),
        ("ce_subject", b"alice@example.com"),
        ("ce_sequence", b"three"),
        ("ce_sequence", b"0"),
        ("ce_sequence", b"-1"),
        ("ce_dataschema", b"urn:berth:event:AccountSuspended"),
        ("ce_dataschema", b"urn:berth:event:AccountSuspended:"),
        ("ce_dataschema", b"urn:berth:event:AccountSuspended:0"),
        ("ce_dataschema", b"urn:berth:event:AccountResumed:1"),
        ("ce_dataschema", b"https://example.com/AccountSuspended:1"),
        ("ce_correlationid", b"x"),
        ("ce_causationid", b"x"),
        ("content-type", b"application/cloudevents-batch+json"),
        ("content-type", b"application/cloudevents+avro"),
    ],
)
def test_a_malformed_header_is_named(name: str, raw: bytes) -> None:
    with pytest.raises(InvalidRecord, match=name):
        from_binary(changed(**{name.replace("-", "_"): raw}), VALUE)


def test_the_subject_is_the_aggregate_of_the_data() -> None:
    with pytest.raises(InvalidRecord, match=f"ce_subject is {UUID(int=5)}, but data.account_id is {ACCOUNT}"):
        from_binary(changed(ce_subject=str(UUID(int=5)).encode()), VALUE)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"", "data: Invalid JSON"),
        (b"null", "data: Input should be an object"),
        (b"{}", "data.account_id: Field required"),
        (
            VALUE.replace(b'"organization_id":"0', b'"organization_id":"z'),
            "data.organization_id: Input should be a valid UUID",
        ),
        (b"[" * 100_000, "data: Invalid JSON"),
    ],
)
def test_data_that_violates_the_model_names_the_field(value: bytes, message: str) -> None:
    with pytest.raises(InvalidRecord, match=message):
        from_binary(HEADERS, value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"", "the value is not JSON"),
        (b"\xff", "the value is not JSON"),
        (b"[]", "the value is not a JSON object"),
        (b"[" * 100_000, "the value is not JSON"),
        (
            json.dumps({key: part for key, part in DOCUMENT.items() if key != "data"}).encode(),
            "data: Input should be an object",
        ),
        (json.dumps(DOCUMENT | {"data": {}}).encode(), "data.account_id: Field required"),
    ],
)
def test_a_malformed_structured_record(value: bytes, message: str) -> None:
    with pytest.raises(InvalidRecord, match=message):
        from_binary((("content-type", b"application/cloudevents+json"),), value)


def test_errors_do_not_show_the_data() -> None:
    canary = "canary-6b0e"
    for value in (
        json.dumps(json.loads(VALUE) | {"organization_id": canary}).encode(),
        json.dumps(json.loads(VALUE) | {"reason": [canary]}).encode(),
        f'{{"reason": "{canary}'.encode(),
    ):
        with pytest.raises(InvalidRecord) as caught:
            from_binary(HEADERS, value)
        assert canary not in str(caught.value)
        assert caught.value.__cause__ is None


@given(
    headers=st.lists(st.tuples(st.sampled_from([name for name, _ in HEADERS]), st.binary(max_size=40))),
    value=st.binary(max_size=200) | st.just(VALUE),
)
def test_any_record_is_read_or_refused(headers: list[tuple[str, bytes]], value: bytes) -> None:
    with suppress(InvalidRecord):
        from_binary(dict(HEADERS) | dict(headers), value)
