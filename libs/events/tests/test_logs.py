"""The logs of a process: one JSON object a line, with nothing that a frame of a traceback holds."""

import json
import os
import subprocess
import sys

import pytest
from pydantic import ValidationError

from berth_events.runtime.settings import ServiceSettings

_LOGS_AN_ERROR = """
import logging, structlog
from berth_events.runtime.kafka_bus import KafkaBus
from berth_events.runtime.logs import configure_logs

configure_logs("DEBUG", "billing")
KafkaBus("127.0.0.1:1")

def fail(secret):
    raise RuntimeError("what happened")

try:
    fail("s3cret-" + "canary")
except RuntimeError:
    structlog.get_logger("ours").exception("it.failed")
logging.getLogger("theirs").debug("said %s", "so")
logging.getLogger("aiokafka.conn").error("of no use")
"""


def test_ours_and_theirs_are_json_with_the_services_name() -> None:
    done = subprocess.run([sys.executable, "-c", _LOGS_AN_ERROR], capture_output=True, text=True, check=True)
    ours, theirs = (json.loads(line) for line in done.stderr.splitlines())
    assert done.stdout == ""
    assert (ours["event"], ours["service"], ours["level"]) == ("it.failed", "billing", "error")
    assert "what happened" in ours["exception"]
    assert "s3cret-canary" not in done.stderr
    assert (theirs["event"], theirs["service"], theirs["logger"]) == ("said so", "billing", "theirs")


def test_every_command_logs_so(database: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "berth_billing", "migrate"],
        env=os.environ | {"DATABASE_URL": database, "BERTH_INTERNAL_TOKEN": "0123456789abcdef", "LOG_LEVEL": "info"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("applied berth_events.runtime/")
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["database.migrated"]


def test_a_level_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError, match="log_level"):
        ServiceSettings.model_validate({"database_url": "postgresql://x", "log_level": "loud"})
