"""The table of diagnoses, played: for every row a server that says the row's example at the step where it occurs.

`python -m berth_testing.corpus` (`make diagnoses`) runs all of them through the real probe, over real sockets, and prints which
code was expected and which one was found.
"""

from berth_testing.corpus.scenes import Scene, scenes
from berth_testing.corpus.stage import Stage, open_stage

__all__ = ["Scene", "Stage", "open_stage", "scenes"]
