"""The exchange with a mail server that proves an account, step by step."""

from berth_connector.probe.dial import Dialler, Limits
from berth_connector.probe.faults import Fault
from berth_connector.probe.grants import TokenGrant
from berth_connector.probe.login import Login
from berth_connector.probe.prober import Prober, ProbeResult
from berth_connector.probe.tls import client_context

__all__ = ["Dialler", "Fault", "Limits", "Login", "ProbeResult", "Prober", "TokenGrant", "client_context"]
