"""Mark every test by the servers that it needs, so that `-m "not kafka and not mail"` leaves out what a machine cannot run."""

from typing import Final

import pytest

_MARK_OF_FIXTURE: Final = {
    "kafka": "kafka",
    "make_cluster": "kafka",
    "mail_bed": "mail",
    "nsd": "mail",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Add the marks before `-m` selects."""
    for item in items:
        for mark in {_MARK_OF_FIXTURE[name] for name in getattr(item, "fixturenames", ()) if name in _MARK_OF_FIXTURE}:
            item.add_marker(mark)
