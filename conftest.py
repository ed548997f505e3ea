"""The fixtures of every test in this repository: the real servers that tests run against (tests/support)."""

pytest_plugins = ["berth_testing.plugin"]
