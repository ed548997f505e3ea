"""The exchange with a mail server that proves an account, step by step."""

from berth_connector.probe.dial import Limits
from berth_connector.probe.faults import Fault
from berth_connector.probe.login import Login
from berth_connector.probe.prober import Prober, ProbeResult, TokenGrant
from berth_connector.probe.tls import client_context

__all__ = ["Fault", "Limits", "Login", "ProbeResult", "Prober", "TokenGrant", "client_context"]
