"""The datasets that are damaged here are those of the readers' own tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "data"))
