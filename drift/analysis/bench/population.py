"""The population: the user's own rows, drawn again and again with all that holds between them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from drift.cells import frames
from drift.cells.columns import floats
from drift.cells.frames import Frame, FrameError
from drift.reference.baseline import Baseline
from drift.reference.reference import Reference

ROWS_MIN = 200
#: A reference is drawn with at most so many rows: it is fitted anew for every stream.
REFERENCE_ROWS_MAX = 10_000
#: What a column's design effect may be by chance.
DESIGN_EFFECT_MIN = 1.2
#: Blocks are so many design effects long, that few households are cut in two; and at least so many make a table.
BLOCK_DESIGN_EFFECTS, BLOCKS_MIN = 8, 16


@dataclass(frozen=True, eq=False)
class Population:
    """Rows that are taken for the whole world: a bootstrap draws references and streams from them alike.

    So a reference and a stream without drift are exchangeable, and a finite reference is as uncertain as it is in life.

    Parameters
    ----------
    table
        Its rows, in their own order.
    whole
        The reference of all of them.
    block_rows
        Rows that are drawn together: 1 where rows are independent.
    """

    table: pa.Table
    whole: Reference
    block_rows: int

    @classmethod
    def of(cls, frame: Frame, block_rows: int | None = None, **known: Any) -> "Population":
        """Profile a table; ``known`` as for `Reference.fit`. By default blocks are as long as rows hang together.

        Raises
        ------
        FrameError
            Too few rows, or no table.

        >>> import pandas as pd
        >>> Population.of(pd.DataFrame({"city": ["Rome", "Oslo", "Bern"] * 100})).block_rows
        1
        """
        table = frames.read(frame)
        if table.num_rows < ROWS_MIN:
            raise FrameError(f"{table.num_rows} rows are too few to draw streams from; give at least {ROWS_MIN}")
        whole = Reference.fit(table, **known)
        if block_rows is None:
            largest, longest = float(Baseline(whole).design_effects.max()), table.num_rows // BLOCKS_MIN
            together = largest > DESIGN_EFFECT_MIN
            block_rows = min(int(np.ceil(BLOCK_DESIGN_EFFECTS * largest)), longest) if together else 1
        return cls(table.select(list(whole.sources)), whole, block_rows)

    def reference(self, rng: np.random.Generator) -> tuple[Reference, pa.Table]:
        """Draw rows and fit a reference to them; returns it, and its rows under the names that cells have."""
        rows = self.draw(rng, min(self.table.num_rows, REFERENCE_ROWS_MAX))
        sources = dict(zip((cells.name for cells in self.whole.columns), self.whole.sources, strict=True))
        reference = Reference.fit(
            rows,
            features=self.whole.schema,
            score=sources.get("score") if self.whole.score else None,
            prediction=sources.get("prediction") if self.whole.prediction else None,
        )
        return reference, reference.align(rows)

    def draw(self, rng: np.random.Generator, rows: int) -> pa.Table:
        """Draw rows, block by block, with replacement."""
        blocks = -(-rows // self.block_rows)
        first = rng.integers(0, self.table.num_rows - self.block_rows + 1, blocks)
        taken = (first[:, None] + np.arange(self.block_rows)).ravel()[:rows]
        return self.table.take(taken)

    @cached_property
    def ascending(self) -> dict[str, np.ndarray]:
        """Values of each numeric column in order, without what is missing or infinite, by the cells' name."""
        by_name = {}
        for cells, source in zip(self.whole.columns, self.whole.sources, strict=True):
            if cells.kind == "numeric":
                values = floats(self.table.column(source), source)
                by_name[cells.name] = np.sort(values[np.isfinite(values)])
        return by_name
