"""What the judge remembers and its snapshots hold: of a model, and of each of its versions' segments. State alone.

Snapshots call some fields by older names, given as ``name=``.
"""

import msgspec

from drift.evidence import Detector
from drift.incidents import Incidents, RealisedLoss, Volume
from drift.incidents.acts import Heeds
from drift.incidents.behind import Behind
from drift.incidents.estimated_loss import EstimatedLoss
from drift.incidents.refused_requests import RefusedRequests
from drift.incidents.river_opinions import MeanSeries
from drift.incidents.row_quality import RowQuality
from drift.reference.baseline import Baseline
from drift.reference.learning import Learning, LossLearning
from drift.reference.new_normal import NewNormal
from drift.windows.watermark import Source
from drift.windows.windows import Windows
from streams.wire.records import Watch


class SegmentState(msgspec.Struct, kw_only=True, eq=False):
    """One model version and segment.

    Evidence and incidents are those of all rows; a segment of them has reports with effects alone.

    Parameters
    ----------
    reference
        Id of the version's reference.
    windows, detector, incidents
        Its windows, the evidence of its columns, and their incidents.
    realised_loss
        Evidence and incident of its loss; begins with the first labels.
    volume, row_quality, estimated_loss, refused, behind
        What the other rules remember.
    scores, errors
        How the mean score and the mean error went, for River's detectors.
    learning, loss_learning
        There where the order of the reference's rows is unknown.
    normal
        What has been accepted as usual since.
    """

    reference: str
    windows: Windows
    detector: Detector | None
    incidents: Incidents
    realised_loss: RealisedLoss | None = msgspec.field(default=None, name="harm")
    volume: Volume = msgspec.field(default_factory=Volume, name="flow")
    row_quality: RowQuality = msgspec.field(default_factory=RowQuality, name="shares")
    estimated_loss: EstimatedLoss = msgspec.field(default_factory=EstimatedLoss, name="hopes")
    scores: MeanSeries = msgspec.field(default_factory=MeanSeries)
    errors: MeanSeries = msgspec.field(default_factory=MeanSeries)
    refused: RefusedRequests = msgspec.field(default_factory=RefusedRequests)
    learning: Learning | None = None
    loss_learning: LossLearning | None = None
    behind: Behind = msgspec.field(default_factory=Behind)
    normal: NewNormal | None = None

    @classmethod
    def begin(cls, baseline: Baseline, segment: str) -> "SegmentState":
        """Begin with nothing but the reference."""
        detector = None if segment else Detector.over(baseline.contrasts, baseline.reference.expected)
        learning = Learning() if detector is not None and baseline.reference.order == "unknown" else None
        return cls(
            reference=baseline.reference.id,
            windows=Windows(),
            detector=detector,
            incidents=Incidents(),
            learning=learning,
            loss_learning=None if learning is None else LossLearning(),
        )


class ModelState(msgspec.Struct, kw_only=True, eq=False):
    """One model.

    Parameters
    ----------
    watch, epoch, champion, canary, routed
        What the model's latest route says, ``routed`` all versions that it names; before one comes, the defaults, and
        every version counts as serving.
    sources
        Its source topics.
    reached
        The watermark of each version: it never falls, though an idle partition may come back from far behind.
    incidents
        Incidents so far.
    ordered_ms
        Event time of the latest retraining order.
    segments
        By version and segment.
    heeds
        What people said of open incidents.
    suspended
        Versions whose references cannot be used: their segments are kept, and nothing is judged.
    """

    model: str
    watch: Watch = Watch()
    epoch: int = 0
    champion: str | None = None
    canary: dict[str, float] = {}
    routed: set[str] = set()
    sources: dict[str, Source] = {}
    reached: dict[str, int] = {}
    incidents: int = 0
    ordered_ms: int | None = None
    segments: dict[tuple[str, str], SegmentState] = msgspec.field(default_factory=dict, name="lanes")
    heeds: Heeds = msgspec.field(default_factory=Heeds)
    suspended: set[str] = set()

    def next_incident(self) -> int:
        """Number of the next incident."""
        self.incidents += 1
        return self.incidents

    def furthest(self, version: str, topic: str, partition: int) -> int | None:
        """Event time that a version has reached in a source partition.

        Parameters
        ----------
        version
            The version.
        topic, partition
            The source partition.
        """
        source = self.sources.get(topic)
        return None if source is None else source.times(version).get(partition)

    @property
    def asleep(self) -> bool:
        """Whether every source is asleep: nobody knows when it will send more."""
        return all(source.sleeps for source in self.sources.values())

    def judged(self) -> list[tuple[tuple[str, str], SegmentState]]:
        """Segments that are judged, in order of version and segment."""
        return sorted((key, segment) for key, segment in self.segments.items() if key[0] not in self.suspended)
