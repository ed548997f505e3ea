"""Servers that wish the connector ill: they flood, drip, fall silent, lie about lengths, or break TLS.

`python -m berth_testing.hostile 10000` (`make hostile`) lets the probe meet so many of them, and prints what it cost.
"""

from berth_testing.hostile.runs import Figures, meet
from berth_testing.hostile.servers import HOSTILE, Hostile

__all__ = ["HOSTILE", "Figures", "Hostile", "meet"]
