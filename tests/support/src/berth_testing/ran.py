"""Say at the end of a run which servers the tests really ran against."""

import pytest

_RAN = pytest.StashKey[list[str]]()


def ran_against(config: pytest.Config, server: str) -> None:
    """Remember a server for the summary, for example "PostgreSQL 18.6 (embedded)"."""
    config.stash.setdefault(_RAN, []).append(server)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the servers."""
    for server in config.stash.get(_RAN, []):
        terminalreporter.write_line(f"ran against {server}")
