"""The lean parser against dnspython, on sound messages and on damaged ones; names; and the bounds on its work."""

import struct
import time
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from berth_dns_auditor.transport.names import InvalidName, name_text, read_name, skip_name, wire_name
from berth_dns_auditor.transport.slow_wire import read_reply_slowly
from berth_dns_auditor.transport.wire import RDTYPES, MalformedReply, Question, Reply, Unusual, read_reply
from berth_testing.dns_messages import damaged, sound_message

LABELS = st.lists(st.binary(min_size=1, max_size=63), max_size=4)
TYPES = {number: name for name, number in RDTYPES.items()}


def asked_by(labels: tuple[bytes, ...], rdtype: int) -> Question:
    question = Question.of(name_text(list(labels)), TYPES[rdtype])
    assert question is not None
    return question


def lean(message: bytes, question: Question) -> Reply | None:
    try:
        return read_reply(message, question)
    except (Unusual, MalformedReply):
        return None


def slow(message: bytes) -> Reply | None:
    try:
        return read_reply_slowly(message)
    except MalformedReply:
        return None


@settings(max_examples=400, deadline=None)
@given(st.randoms(use_true_random=False))
def test_sound_messages_are_read_as_dnspython_reads_them(rng: Random) -> None:
    labels, rdtype, message = sound_message(rng)
    read, expected = lean(message, asked_by(labels, rdtype)), slow(message)

    # TLSA with data of the wrong length has to be seen to be reported, and records of other names are not read at all;
    # dnspython refuses the whole message.
    digests = {RDTYPES["TLSA"], RDTYPES["DS"]}
    assert read is None or read == expected or (expected is None and rdtype in digests)


def test_most_sound_messages_are_read_lean() -> None:
    rng = Random(1)
    messages = [sound_message(rng) for _ in range(500)]
    expected = [slow(message) for _, _, message in messages]
    definite = [
        (message, asked_by(labels, rdtype), reply)
        for (labels, rdtype, message), reply in zip(messages, expected, strict=True)
        if reply is not None and TYPES[rdtype] not in {"DS", "TLSA"}
    ]

    read = sum(lean(message, question) == reply for message, question, reply in definite)

    assert read / len(definite) > 0.75


@settings(max_examples=400, deadline=None)
@given(st.randoms(use_true_random=False))
def test_damaged_messages_are_refused_or_read_alike(rng: Random) -> None:
    labels, rdtype, message = sound_message(rng)
    section = 16 + sum(len(label) + 1 for label in labels) + 1  # id and question were compared before
    message = message[:section] + damaged(rng, message[section:])

    read, expected = lean(message, asked_by(labels, rdtype)), slow(message)

    assert read is None or expected is None or read == expected


@given(st.binary(max_size=600))
def test_garbage_is_refused(garbage: bytes) -> None:
    question = Question.of("example.com", "MX")
    assert question is not None
    read = lean(garbage[:4] + b"\0\1" + garbage[6:], question)

    assert read is None or read.truncated


@given(LABELS)
def test_names_there_and_back(labels: list[bytes]) -> None:
    wire = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if len(wire) > 255:
        with pytest.raises(InvalidName):
            read_name(wire, 0)
        return
    text, behind = read_name(wire, 0)

    assert behind == skip_name(wire, 0) == len(wire)
    assert text.isascii()
    assert wire_name(text) == wire.lower()


@given(LABELS, LABELS)
def test_different_names_have_different_texts(one: list[bytes], other: list[bytes]) -> None:
    lower = [[label.lower() for label in labels] for labels in (one, other)]

    assert (name_text(one) == name_text(other)) == (lower[0] == lower[1])


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("", b"\0"),
        ("mx.example", b"\2mx\7example\0"),
        (r"a\.b.example", b"\3a.b\7example\0"),
        (r"a\\.example", b"\2a\\\7example\0"),
        (r"\000\255", b"\2\0\xff\0"),
        ("\xe4", b"\1\xe4\0"),
        (r"\256", None),
        ("a\\", None),
        ("a..b", None),
        ("\u0142", None),
        ("x" * 64, None),
        ("x." * 127 + "xx", None),
    ],
)
def test_texts_of_names(text: str, wire: bytes | None) -> None:
    assert wire_name(text) == wire


def test_letters_in_any_case_are_the_same_question() -> None:
    question = Question.of("Mixed-Case_1.example", "TXT")
    assert question is not None
    sections = {question.section(Random(seed).getrandbits(8 * len(question.name))) for seed in range(50)}

    assert len(sections) == 50
    assert {section.lower() for section in sections} == {question.section(0)}
    assert question.section(0).startswith(b"\x0cmixed-case_1\7example\0")


def _message(counts: tuple[int, int, int], body: bytes) -> bytes:
    return struct.pack(">HHHHHH", 1, 0x8180, 1, *counts) + b"\1a\0\0\x10\0\1" + body


def _records(count: int, owner: bytes, rdata: bytes = b"\1x") -> bytes:
    return (owner + struct.pack(">HHIH", 16, 1, 60, len(rdata)) + rdata) * count


HOSTILE = {
    "a pointer to itself": _message((1, 0, 0), b"\xc0\x13" + b"\0" * 20),
    "pointers in a circle": _message((1, 0, 0), b"\xc0\x15\xc0\x13" + b"\0" * 20),
    "a pointer forwards": _message((1, 0, 0), b"\xc0\xff" + b"\0" * 300),
    "a stair of pointers": _message(
        (1, 0, 0), b"\1a\xc0\x13" + b"".join(struct.pack(">H", 0xC013 + 2 * step) for step in range(1, 400))
    ),
    "a name of a thousand labels": _message((1, 0, 0), b"\1a" * 1000 + b"\0" + b"\0" * 20),
    "65,535 records counted, none there": _message((65_535, 65_535, 65_535), b""),
    "65,535 records counted, many there": _message((65_535, 0, 0), _records(4000, b"\xc0\x0c")),
    "60,000 bytes of long names": _message((500, 0, 0), _records(500, b"\1a" * 50 + b"\0")),
    "a long name, 599 times by pointer": _message(
        (600, 0, 0), _records(1, b"\1b" * 120 + b"\0") + _records(599, b"\xc0\x13")
    ),
    "a record longer than the message": _message((1, 0, 0), b"\xc0\x0c" + struct.pack(">HHIH", 16, 1, 60, 65_535)),
    "a string longer than its record": _message((1, 0, 0), _records(1, b"\xc0\x0c", b"\xffx")),
    "nothing": b"",
    "half a header": b"\0\0\x81\x80\0\1",
}


@pytest.mark.parametrize("message", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_message_takes_no_time(message: bytes) -> None:
    question = Question.of("a", "TXT")
    assert question is not None
    began = time.process_time()

    read = lean(message, question) or slow(message)

    assert time.process_time() - began < 0.25
    assert read is None or len(read.records) <= 600
