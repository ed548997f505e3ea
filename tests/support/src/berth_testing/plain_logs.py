"""Logs in tests are short: a traceback with every local variable takes minutes to lay out."""

import structlog


def pytest_configure() -> None:
    """Before anything logs."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ]
    )
