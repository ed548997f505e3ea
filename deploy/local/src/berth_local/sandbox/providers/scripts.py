"""What a mail server says, as data: a greeting, and an answer to each line that a client may send."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

__all__ = ["CLOSE", "START_TLS", "STAY", "Action", "Answer", "Script"]

#: Does something with the connection instead of answering with text.
Action = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
#: Bytes, in which TAG stands for the command's tag, also behind further lines of it; an action; or both in turn.
Answer = bytes | Action | tuple[bytes, Action]


async def CLOSE(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: N802 - reads as a constant
    """Close the connection."""
    writer.close()


async def STAY(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:  # noqa: N802
    """Say nothing, and leave the connection open."""


async def START_TLS(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:  # noqa: N802
    """Begin TLS; whoever plays the script does it, because it has the context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What a server says.

    Attributes:
        greeting: said to everybody who connects.
        answers: pattern of a line -> the answer, the first match counts; a line that matches none is answered with silence.
        turns: pattern of a line -> the script that answers this connection from the next line on.
    """

    greeting: Answer
    answers: Sequence[tuple[str, Answer]] = ()
    turns: Sequence[tuple[str, "Script"]] = ()

    def but(self, *answers: tuple[str, Answer], greeting: Answer | None = None) -> "Script":
        """The same script with other answers in front, also behind its turns."""
        return replace(
            self,
            greeting=self.greeting if greeting is None else greeting,
            answers=(*answers, *self.answers),
            turns=tuple((pattern, script.but(*answers)) for pattern, script in self.turns),
        )

    def turning(self, pattern: str, script: "Script") -> "Script":
        """The same script until a line matches."""
        return replace(self, turns=((pattern, script), *self.turns))

    def answer_to(self, line: str) -> Answer:
        """The answer to a line."""
        return next((answer for pattern, answer in self.answers if re.search(pattern, line)), b"")

    def behind(self, line: str) -> "Script":
        """The script that answers what comes after a line."""
        return next((script for pattern, script in self.turns if re.search(pattern, line)), self)
