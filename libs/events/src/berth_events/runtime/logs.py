"""Logs: one JSON object a line on standard error, from structlog and from the standard library alike."""

import logging
import sys
from typing import Final

import structlog

__all__ = ["configure_logs"]

#: Debug logs of asyncio hold every poll, those of aiokafka hold tokens; of aiokafka's troubles the runtime tells itself.
_QUIET: Final = {"asyncio": logging.INFO, "uvicorn.access": logging.WARNING, "aiokafka": logging.CRITICAL}


def configure_logs(level: str, service: str) -> None:
    """Send all logs of the process to standard error as JSON, each with the service's name.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
        service: the name.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    structlog.contextvars.bind_contextvars(service=service)
    for name, quieter in _QUIET.items():
        logging.getLogger(name).setLevel(max(quieter, root.level))
