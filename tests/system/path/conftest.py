"""What the tests of the whole path share: roles as processes, and the browser of the dashboards' tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "dashboards"))
sys.path.insert(0, str(Path(__file__).parent))

from role_processes import roles

__all__ = ["roles"]
