"""What the faults are inflicted on, and how often."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # the modules beside this file
