"""`make fuzz-dns`: the auditor's parser of DNS messages against dnspython, for minutes.

Each message is made by chance from a number, half of them damaged. The lean parser must read what dnspython reads, or leave it;
neither may raise anything else, or take long. A message that breaks this is printed with its number.
"""

import sys
import time
from collections import Counter
from random import Random
from typing import Final

from berth_dns_auditor.transport.names import name_text
from berth_dns_auditor.transport.slow_wire import read_reply_slowly
from berth_dns_auditor.transport.wire import RDTYPES, MalformedReply, Question, Reply, Unusual, read_reply
from berth_testing.dns_messages import damaged, sound_message

__all__: list[str] = []

_TYPES: Final = {number: name for name, number in RDTYPES.items()}
_SLOW_S: Final = 0.05


def _try(seed: int, counts: Counter[str]) -> str | None:
    """What is wrong with how the message of a number is read, or None."""
    rng = Random(seed)
    labels, rdtype, message = sound_message(rng)
    question = Question.of(name_text(list(labels)), _TYPES[rdtype])
    assert question is not None
    if rng.random() < 0.5:
        head = 16 + len(question.name)  # id and question were compared before
        message = message[:head] + damaged(rng, message[head:])
    began = time.process_time()
    lean: Reply | None
    try:
        lean = read_reply(message, question)
    except (Unusual, MalformedReply):
        lean = None
    took = time.process_time() - began
    try:
        slow = read_reply_slowly(message)
    except MalformedReply:
        slow = None
    counts[
        "read alike"
        if lean and slow
        else "left to dnspython"
        if slow
        else "refused"
        if lean is None
        else "read lean alone"
    ] += 1
    if took > _SLOW_S:
        return f"took {took * 1000:.0f} ms"
    return f"{lean} is not {slow}" if lean and slow and lean != slow else None


def main() -> int:
    """Run for the minutes that are given, ten without any."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    until = time.monotonic() + 60 * minutes
    first = seed = time.time_ns()
    counts: Counter[str] = Counter()
    broken = 0
    while time.monotonic() < until and broken < 10:
        try:
            wrong = _try(seed, counts)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            wrong = repr(error)
        if wrong:
            broken += 1
            print(f"message {seed}: {wrong}")
        seed += 1
    print(f"{seed - first:,} messages in {minutes:g} minutes: {dict(counts)}; {broken} wrong")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
