"""The delivery checkup: a message from a mailbox to itself, and what its way tells.

Only `delivery` and what it takes need aioimaplib, which comes with the extra `checkup` (docs/adr/0007).
"""

from berth_connector.checkup.unavailable import NoExaminer
from berth_connector.checkup.worker import CheckupHandler, Examines

__all__ = ["CheckupHandler", "Examines", "NoExaminer"]
