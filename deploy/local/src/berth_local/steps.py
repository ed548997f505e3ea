"""What is going on, for the one who waits: a line for each thing done, a moving line for what is being done."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

__all__ = ["Step", "Steps"]


class Step:
    """Something being done; `said` is added to its line."""

    def __init__(self) -> None:
        self.said = ""


class Steps:
    """Prints steps."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Do something that takes a while."""
        began = time.monotonic()
        step = Step()
        with self._console.status(f"{name} ..."):  # nothing, when this is no terminal
            yield step
        self._console.print(
            f"[green]ok[/]  {name:<11} {step.said}  [dim]{time.monotonic() - began:.1f} s[/]",
            highlight=False,
            soft_wrap=True,
        )
