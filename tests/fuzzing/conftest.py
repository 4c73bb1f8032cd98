"""The datasets and runs that are damaged here are those of the readers' own tests."""

import sys
from pathlib import Path

for place in ("data", "reporting"):
    sys.path.append(str(Path(__file__).parents[1] / place))
