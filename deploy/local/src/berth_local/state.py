"""What is generated at the first start and has to stay the same: passwords, keys, tokens."""

import json
from collections.abc import Callable
from pathlib import Path

from berth_local.errors import LocalStackError
from berth_local.files import write_private

__all__ = ["State", "StateUnreadable"]


class StateUnreadable(LocalStackError):
    """The file with the generated secrets cannot be read. Restore it, or begin anew with `make clean`."""


class State:
    """Named texts in a file that only its owner may read."""

    def __init__(self, path: Path) -> None:
        """Read the file, when there is one.

        Raises:
            StateUnreadable: it is damaged.
        """
        self._path = path
        try:
            self._values: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        except ValueError as error:
            raise StateUnreadable(f"{path} is damaged: restore it, or begin anew with `make clean`") from error

    def get(self, name: str) -> str | None:
        """A value, None when it was never set."""
        return self._values.get(name)

    def put(self, name: str, value: str) -> None:
        """Keep a value."""
        self._values[name] = value
        write_private(self._path, json.dumps(self._values, indent=2))

    def keep(self, name: str, make: Callable[[], str]) -> str:
        """The value, made when there is none yet."""
        if name not in self._values:
            self.put(name, make())
        return self._values[name]
