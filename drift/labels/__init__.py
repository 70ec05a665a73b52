"""Labels on their way to a window: how late they come, and how long a window waits for them."""

from drift.labels.wait import LabelDelays as LabelDelays
