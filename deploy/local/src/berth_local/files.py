"""Files that only their owner may read."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

__all__ = ["exports", "write_private"]


def write_private(path: Path, text: str) -> None:
    """Write a file with mode 0600, at once: a reader sees the old text or the new one, never a part."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    part.replace(path)


def exports(variables: Mapping[str, str]) -> str:
    """Environment variables as a shell reads them."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
