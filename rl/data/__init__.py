"""Problems from files, hub data sets, `reasoning-gym` and the embedded world, in one schema; see docs/data.md."""

from rl.data.embedded import is_tiny
from rl.data.load import Loaded, load_problems, read_problems
from rl.data.records import DataError
from rl.data.schema import problem_to_row

__all__ = ["DataError", "Loaded", "is_tiny", "load_problems", "problem_to_row", "read_problems"]
