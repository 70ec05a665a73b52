"""What the tests of the whole path borrow: the browser of the dashboards' tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "dashboards"))
