"""The garbage collector of a process that runs for long."""

import gc
from typing import Final

__all__ = ["keep_loaded"]

#: New objects between two looks at the youngest; Python's 700 are made by a single verification.
_YOUNG: Final = 10_000


def keep_loaded() -> None:
    """Tell the garbage collector that what is loaded by now stays, and that many objects are short-lived.

    To walk all modules and routes takes 100 ms; to do so again and again for what a request, a verification or an audit
    makes is up to a quarter of its CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)
