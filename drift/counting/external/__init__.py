"""External topics: models that serve elsewhere, by the topics that hold what they saw and said.

A `Mapping` says where in a record of such a topic the features, the score, the predicted class, the id and the time
are, or where a label is. A `RecordReader` reads records by it, and the stage `ExternalTopics` makes observations of
predictions and feedback of labels. From there on everything is as if the model were ours: count, join, judge and sink
know no difference.

A silence of such a topic leaves as an observation without rows (`Head.silence`), so that it reaches the judge behind
all that was said before it.
"""

from drift.counting.external.mapping import Mapping
from drift.counting.external.reader import Misfit, RecordReader
from drift.counting.external.stage import ExternalTopics

__all__ = ["ExternalTopics", "Mapping", "Misfit", "RecordReader"]
