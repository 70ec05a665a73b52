"""A small scene in a real embedded store: three models, one of which moves.

`employment` is quiet for 32 windows; from 03:12 on, levels 16 and 17 of RELP are gone. An incident opens, pages, and
an order goes out; labels cover 60 %. `churn` is quiet; `fraud-eu` had an incident that is closed. Shares and effects
are counted from the drawn rows; evidence follows the design's e-value for a binomial indicator.
"""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from drift.cells.cells import Cells
from drift.store import Store, ensure_observations, report_rows, rows
from drift.store.migrate import observations_table
from streams.wire.observation import OWN, Head
from streams.wire.records import (
    Alert,
    ColumnReport,
    MetricReport,
    MinuteCounts,
    MovedColumn,
    MovedLevel,
    Opinion,
    Order,
    Outcome,
    PartialCounts,
    PredictionEffect,
    Report,
    TextPart,
)

START_MS = int(datetime(2026, 11, 21, 2, 40, tzinfo=UTC).timestamp() * 1000)
MINUTE_MS = 60_000
WINDOWS, BREAK = 48, 32
END_MS = START_MS + WINDOWS * MINUTE_MS
CHANGE_MS = START_MS + BREAK * MINUTE_MS
ROWS = 500
REFERENCE_ROWS = 20_000
BUDGET = 43_200.0

_RELP = {"0": 0.41, "1": 0.19, "2": 0.24, "5": 0.02, "10": 0.03, "12": 0.037, "16": 0.038, "17": 0.035}
_LEVELS: dict[str, dict[str, float]] = {
    "RELP": _RELP,
    "SCHL": {"16": 0.24, "19": 0.17, "20": 0.09, "21": 0.26, "22": 0.14, "1": 0.1},
    "MAR": {"1": 0.43, "2": 0.05, "3": 0.09, "4": 0.02, "5": 0.41},
    "DIS": {"1": 0.13, "2": 0.87},
    "ESP": {"0": 0.82, "1": 0.08, "2": 0.05, "4": 0.05},
    "CIT": {"1": 0.83, "4": 0.1, "5": 0.07},
    "MIG": {"1": 0.86, "2": 0.01, "3": 0.13},
    "MIL": {"0": 0.19, "2": 0.06, "4": 0.75},
    "ANC": {"1": 0.33, "2": 0.39, "3": 0.05, "4": 0.23},
    "NATIVITY": {"1": 0.83, "2": 0.17},
    "DEAR": {"1": 0.04, "2": 0.96},
    "DEYE": {"1": 0.02, "2": 0.98},
    "DREM": {"0": 0.05, "1": 0.06, "2": 0.89},
    "SEX": {"1": 0.48, "2": 0.52},
    "RAC1P": {"1": 0.78, "2": 0.07, "6": 0.07, "8": 0.05, "9": 0.03},
}
NAMES = ("AGEP", *_LEVELS)


class Scene:
    """Draws the rows of one model and says what drift would say of them."""

    def __init__(self, model: str, seed: int, moves: bool) -> None:
        self.model = model
        self.moves = moves
        self._rng = np.random.default_rng(seed)
        ages = tuple(float(edge) for edge in range(10, 91, 8))
        self.columns = [
            Cells(name="AGEP", edges=ages, low=0, high=95),
            *(Cells(name=name, kind="categorical", levels=tuple(shares)) for name, shares in _LEVELS.items()),
            Cells(
                name="score", role="prediction", edges=tuple(np.linspace(0.05, 0.95, 19).astype(np.float32).tolist())
            ),
        ]
        self.offsets = np.cumsum([0, *(cells.size for cells in self.columns)])
        self.reference = self.count(self.frame(REFERENCE_ROWS, False))
        self._since: np.ndarray = np.zeros_like(self.reference)

    def frame(self, n: int, moved: bool) -> dict[str, np.ndarray]:
        """Features, score and truth of n rows."""
        rng = self._rng
        frame: dict[str, Any] = {"AGEP": np.clip(rng.normal(42, 22, n), 0, 94).astype(np.float32)}
        for name, shares in _LEVELS.items():
            p = np.array(
                [0.0 if moved and name == "RELP" and level in ("16", "17") else s for level, s in shares.items()]
            )
            frame[name] = rng.choice(list(shares), n, p=p / p.sum())
        works = 1.6 - 0.0016 * (frame["AGEP"] - 40) ** 2 - 2.2 * np.isin(frame["RELP"], ["16", "17"])
        score = 1 / (1 + np.exp(-(works * 1.7 + rng.normal(0, 0.8, n))))
        frame["score"] = score.astype(np.float32)
        frame["truth"] = rng.random(n) < np.clip(score * 0.94 + 0.03, 0, 1)
        return frame

    def count(self, frame: dict[str, np.ndarray]) -> np.ndarray:
        """Cell counts of rows."""
        counted = [np.bincount(cells.index(frame[cells.name]), minlength=cells.size) for cells in self.columns]
        return np.concatenate(counted).astype(np.int64)

    def windows(self) -> Iterator[tuple[int, dict[str, np.ndarray], np.ndarray]]:
        """Begin, rows and counts of every window."""
        for index in range(WINDOWS):
            moved = self.moves and index >= BREAK
            frame = self.frame(int(self._rng.normal(ROWS, 25)), moved)
            counts = self.count(frame)
            self._since = counts + (self._since if moved and index > BREAK else 0)
            yield START_MS + index * MINUTE_MS, frame, counts

    def report(self, start: int, frame: dict[str, np.ndarray], counts: np.ndarray) -> Report:
        """The window's numbers."""
        since = max(0, (start - CHANGE_MS) // MINUTE_MS + 1) if self.moves else 0
        columns = [self._column(place, counts, since) for place in range(len(self.columns))]
        return Report(
            model=self.model,
            version="v1",
            window_start=start,
            window_end=start + MINUTE_MS,
            rows=len(frame["score"]),
            reference="3fa29c1d",
            budget=BUDGET,
            evidence=sum(column.evidence for column in columns) / len(columns),
            columns=columns,
            performance=[self._auc(frame, since), self._brier(frame)],
        )

    def cells(self, place: int, counts: np.ndarray) -> np.ndarray:
        """One column's counts."""
        part: np.ndarray = counts[self.offsets[place] : self.offsets[place + 1]]
        return part

    def _column(self, place: int, counts: np.ndarray, since: int) -> ColumnReport:
        cells = self.columns[place]
        moving = since > 0 and cells.name == "RELP"
        p = self.cells(place, self.reference) / REFERENCE_ROWS
        seen = self.cells(place, self._since if moving else counts)
        n = int(seen.sum())
        gap = seen / n - p
        numeric = cells.kind == "numeric"
        effect = float(np.abs(np.cumsum(gap)).max() if numeric else np.abs(gap).sum() / 2)
        # What sampling alone would show, taken off; roughly as the judge does.
        noise = (
            0.87 * math.sqrt(1 / n + 1 / REFERENCE_ROWS) if numeric else float(np.sqrt(2 * p / (np.pi * n)).sum() / 2)
        )
        shown = math.sqrt(max(effect**2 - noise**2, 0.0))
        half = 1.96 * math.sqrt(0.2 / n)
        drifted = moving and since > 2
        return ColumnReport(
            name=cells.name,
            role=cells.role,
            kind=cells.kind,
            n=n,
            statistic="ks" if numeric else "tvd",
            effect=shown,
            effect_low=max(0.0, shown - half),
            effect_high=shown + half,
            tolerance=0.05,
            evidence=self._evidence(place, seen, n) if moving else float(np.exp(self._rng.normal(-0.4, 0.7))),
            drifted=drifted,
            tvd=None if numeric else effect,
            ks=effect if numeric else None,
            psi=effect**2 * 4,
            null_rate=0.002 if cells.name == "SCHL" else 0.0,
            unseen_rate=0.0,
        )

    def _evidence(self, place: int, seen: np.ndarray, n: int) -> float:
        """Grows with the rows that lack the two levels: the e-value of a binomial count, tau as in the design."""
        p = float(self.cells(place, self.reference)[6:8].sum() / REFERENCE_ROWS)
        k = float(seen[6:8].sum())
        z = (k - n * p) / math.sqrt(n * p * (1 - p)) * math.sqrt(max(1, round(n / ROWS)))
        m = max(1, round(n / ROWS))
        logs = [t**2 * z**2 / (2 * (1 + m * t**2)) - 0.5 * math.log(1 + m * t**2) for t in (0.25, 1.0, 3.0)]
        return min(math.exp(min(max(logs), 690)) / 3, 1e300)

    def _auc(self, frame: dict[str, np.ndarray], since: int) -> MetricReport:
        order = np.argsort(np.argsort(frame["score"])) + 1
        truth = frame["truth"]
        positive = truth.sum()
        auc = float((order[truth].sum() - positive * (positive + 1) / 2) / (positive * (len(truth) - positive)))
        return MetricReport(
            metric="auc",
            realised=auc,
            low=auc - 0.031,
            high=auc + 0.031,
            reference=0.845,
            coverage=0.6,
            estimated=0.845 - 0.006 * (since > 0) + float(self._rng.normal(0, 0.003)),
        )

    def _brier(self, frame: dict[str, np.ndarray]) -> MetricReport:
        brier = float(np.mean((frame["score"] - frame["truth"]) ** 2))
        return MetricReport(
            metric="brier", realised=brier, low=brier - 0.01, high=brier + 0.01, reference=0.14, coverage=0.6
        )


def fill(store: Store) -> None:
    """Write the scene into a migrated store."""
    for seed, (model, moves) in enumerate({"employment": True, "churn": False, "fraud-eu": False}.items()):
        _fill_model(store, Scene(model, seed + 7, moves), moves)
    _insert(store, rows.of_alerts(_past_incident()))
    store.insert("dead_letters", _letters())


def _fill_model(store: Store, scene: Scene, moves: bool) -> None:
    ensure_observations(store, scene.model, [(c.name, c.kind) for c in scene.columns if c.role == "feature"])
    _insert(store, _reference(scene))
    reports, counts, outcomes, observations = [], [], [], []
    for start, frame, counted in scene.windows():
        reports.append(scene.report(start, frame, counted))
        counts.append(counts_of(scene, start, len(frame["score"]), counted))
        outcomes += list(_outcomes(scene.model, start, frame))
        observations.append(pa.table(_observations(scene, start, frame).columns))
    table = pa.concat_tables(observations)
    store.insert(observations_table(scene.model), dict(zip(table.column_names, table.columns, strict=True)))
    _insert(store, report_rows.of_reports(reports))
    _insert(store, rows.of_counts(counts))
    _insert(store, rows.of_outcomes(outcomes))
    if moves:
        alerts = _alerts(scene, reports)
        _insert(store, rows.of_alerts(alerts))
        _insert(store, rows.of_orders([_order(alerts[1])]))


def _insert(store: Store, into: rows.Rows) -> None:
    store.insert(into.table, into.columns)


def _reference(scene: Scene) -> rows.Rows:
    n = len(scene.columns)
    return rows.Rows(
        "references",
        {
            "model": [scene.model] * n,
            "version": ["v1"] * n,
            "reference": ["3fa29c1d"] * n,
            "place": list(range(n)),
            "column": [cells.name for cells in scene.columns],
            "role": [cells.role for cells in scene.columns],
            "kind": [cells.kind for cells in scene.columns],
            "first_cell": scene.offsets[:-1].tolist(),
            "labels": [list(cells.labels) for cells in scene.columns],
            "edges": [list(cells.edges) for cells in scene.columns],
            "counts": [scene.cells(place, scene.reference).tolist() for place in range(n)],
            "rows": [REFERENCE_ROWS] * n,
            "centre": [0.0] * n,
            "scale": [1.0] * n,
        },
    )


def counts_of(scene: Scene, start: int, n: int, counted: np.ndarray) -> PartialCounts:
    """A minute's counts as they leave the count stage."""
    columns = len(scene.columns)
    minute = MinuteCounts(
        minute_ms=start,
        segment="",
        late=False,
        rows=n,
        cells=counted.astype("<i8").tobytes(),
        moments=np.zeros((columns, 2), "<i8").tobytes(),
        extremes=np.zeros((columns, 2), "<f4").tobytes(),
    )
    place = {"topic": "requests", "partition": 0, "first": 0, "last": 0, "partitions": 1}
    return PartialCounts(
        model=scene.model, version="v1", reference="3fa29c1d", watermark_ms=None, minutes=[minute], **place
    )


def _ids(model: str, start: int, n: int) -> list[str]:
    return [f"{model}-{start // MINUTE_MS}-{row}" for row in range(n)]


def _times(start: int, n: int) -> np.ndarray:
    return start + np.arange(n) * MINUTE_MS // n


def _observations(scene: Scene, start: int, frame: dict[str, np.ndarray]) -> rows.Rows:
    n = len(frame["score"])
    own = [
        _ids(scene.model, start, n),
        _times(start, n),
        np.arange(n),
        np.zeros(n, np.int32),
        frame["score"],
        np.where(frame["score"] >= 0.5, "true", "false"),
        ["champion"] * n,
    ]
    arrays = [
        pa.array(values, field.type) if not pa.types.is_dictionary(field.type) else pa.array(values).dictionary_encode()
        for values, field in zip(own, OWN, strict=True)
    ]
    features = {c.name: pa.array(frame[c.name]) for c in scene.columns if c.role == "feature"}
    batch = pa.RecordBatch.from_arrays([*arrays, *features.values()], names=[*OWN.names, *features])
    first = (start - START_MS) // MINUTE_MS * 1000
    head = Head(model=scene.model, version="v1", topic="requests", partition=0, first=first, last=first + n - 1)
    return rows.of_observations(head, batch)


def _outcomes(model: str, start: int, frame: dict[str, np.ndarray]) -> Iterator[Outcome]:
    n = len(frame["score"])
    later = np.arange(n) * 0.618 % 0.98  # Half of the labels come within three minutes, the last after twenty.
    delays = (180_000 * np.sqrt(later / (1 - later))).astype(int)
    for row, (name, ts) in enumerate(zip(_ids(model, start, n), _times(start, n), strict=True)):
        if row % 5 < 3 and ts + delays[row] <= END_MS:  # Three in five are ever labelled.
            yield Outcome(
                id=name,
                model=model,
                version="v1",
                ts=int(ts),
                score=float(frame["score"][row]),
                prediction="true" if frame["score"][row] >= 0.5 else "false",
                label="true" if frame["truth"][row] else "false",
                label_ts=int(ts + delays[row]),
            )


_UNCHANGED = PredictionEffect(
    name="score", statistic="ks", effect=0.01, low=0.0, high=0.03, tolerance=0.05, n=6_000, word="unchanged"
)


def _alerts(scene: Scene, reports: list[Report]) -> list[Alert]:
    """Opened one window after the change, paged two later, updated at the end."""
    told = []
    for number, (window, event, page) in enumerate([(1, "open", False), (3, "update", True), (12, "update", True)]):
        report = reports[BREAK + window]
        moved = next(column for column in report.columns if column.name == "RELP")
        told.append(
            Alert(
                id=f"{scene.model}-1-{number}",
                incident=f"{scene.model}-1",
                event=event,
                model=scene.model,
                version="v1",
                ts=report.window_end + MINUTE_MS,
                window_start=report.window_start,
                window_end=report.window_end,
                kind="feature",
                severity="watch",
                page=page,
                columns=[_moved(moved)],
                change_point=CHANGE_MS,
                change_point_low=CHANGE_MS - MINUTE_MS,
                change_point_high=CHANGE_MS + MINUTE_MS,
                evidence=report.evidence,
                budget=BUDGET,
                reference="3fa29c1d",
                epoch=1,
                text="RELP moved: levels 16 and 17 fell from 7.3 % to 0 %.",
                parts=[TextPart("RELP moved: levels 16 and 17 fell from 7.3 % to 0 %.")],
                predictions=[_UNCHANGED],
            )
        )
    return told


def _moved(column: ColumnReport) -> MovedColumn:
    return MovedColumn(
        name=column.name,
        role=column.role,
        statistic=column.statistic,
        effect=column.effect,
        effect_low=column.effect_low,
        effect_high=column.effect_high,
        tolerance=column.tolerance,
        evidence=column.evidence,
        n=column.n,
        change_point=CHANGE_MS,
        levels=[MovedLevel("16", _RELP["16"], 0.0), MovedLevel("17", _RELP["17"], 0.0)],
    )


def _order(alert: Alert) -> Order:
    return Order(
        id=f"{alert.incident}-order",
        model=alert.model,
        version="v1",
        incident=alert.incident,
        ts=alert.ts,
        columns=["RELP"],
        since=CHANGE_MS,
        until=alert.window_end,
        reason="RELP moved and paged",
    )


def _past_incident() -> list[Alert]:
    begun = START_MS + 4 * MINUTE_MS
    moved = MovedColumn(
        name="score",
        role="prediction",
        statistic="ks",
        effect=0.07,
        effect_low=0.05,
        effect_high=0.09,
        tolerance=0.05,
        evidence=9e4,
        n=1500,
        change_point=begun,
        levels=[MovedLevel("[0.55, 0.6)", 0.1, 0.14)],
    )
    return [
        Alert(
            id=f"fraud-eu-1-{event}",
            incident="fraud-eu-1",
            event=event,
            model="fraud-eu",
            version="v1",
            ts=begun + after * MINUTE_MS,
            window_start=begun,
            window_end=begun + after * MINUTE_MS,
            kind="prediction",
            severity="watch",
            page=False,
            columns=[moved],
            change_point=begun,
            change_point_low=begun,
            change_point_high=begun + MINUTE_MS,
            evidence=9e4,
            budget=BUDGET,
            reference="3fa29c1d",
            epoch=1,
            text="score moved a little; Page-Hinkley sees the mean score change since 2026-11-21T02:45:00Z",
            opinions=[Opinion("ADWIN", "score", None), Opinion("Page-Hinkley", "score", begun + MINUTE_MS)],
        )
        for event, after in (("open", 3), ("close", 14))
    ]


def _letters() -> dict[str, list[Any]]:
    times = [START_MS + minute * MINUTE_MS for minute in (3, 17, 17, 30)]
    return {
        "ts": times,
        "source_topic": ["requests"] * 4,
        "source_partition": [0, 1, 1, 3],
        "source_offset": [1041, 2207, 2208, 9919],
        "stage": ["score"] * 4,
        "reason": ["wrong_type", "undecodable", "undecodable", "missing_field"],
        "field": ["$.features.AGEP", "$", "$", "$.features.RELP"],
        "detail": ['$.features.AGEP must be a number, got "n/a"', "no JSON", "no JSON", "$.features.RELP is missing"],
        "attempts": [1] * 4,
        "bytes": [210, 12, 12, 180],
        "letter_partition": [0] * 4,
        "letter_offset": [0, 1, 2, 3],
    }


_VERSION = {
    **{"model": "employment", "version": "v2", "role": "champion", "rows_per_s": 4010.0, "call_rows": 401.0},
    **{"row_us": 5.25, "padding": 0.217, "busy": 0.021, "failed": 3},
}


def status() -> dict[str, Any]:
    """What the roles would say."""
    return {
        "roles": {
            "broker": {"pid": 211, "state": "up", "restarts": 0, "steps": []},
            "worker-0": {
                "pid": 214,
                "state": "up",
                "restarts": 0,
                "steps": [_step("score", 4010, 31, 2.4, 6.1) | {"versions": [_VERSION]}],
            },
            "monitor-0": {
                "pid": 215,
                "state": "up",
                "restarts": 0,
                "steps": [
                    _step("count", 4002, 180, 0.9, 5.2),
                    _step("join", 2400, 240, 3.1, 6.6),
                    _step("judge", 8, 61_000, 1.2, 5.9),
                ],
            },
            "store": {"pid": 212, "state": "up", "restarts": 1, "steps": [_step("sink", 12_100, 640, 18, 11)]},
        }
    }


def _step(name: str, rate: float, lag: int, fold: float, settle: float) -> dict[str, Any]:
    return {
        "step": name,
        "rows": int(rate * 2880),
        "rows_per_s": rate,
        "lag_ms": lag,
        "fold_ms": fold,
        "settle_ms": settle,
        "trouble": None,
        "partitions": 4,
        "lag_rows": int(rate * lag / 1000),
    }
