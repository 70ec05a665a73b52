"""A small network for tabular rows, with its preprocessing inside: it takes the raw float32 matrix.

Levels go through embeddings, numbers are standardised and carry a flag of their own where they are missing, and
two hidden layers do the rest.
"""

import torch
from torch import Tensor, nn

from streams.wire.schema import FeatureSchema

#: Standardised numbers are cut off here, so that infinity and a slipped decimal point stay finite.
DEVIATIONS_MAX = 8.0


class TabularNet(nn.Module):
    """Probabilities or values for rows of a feature schema.

    Parameters
    ----------
    schema
        Its features; a categorical one of K levels gets an embedding of K + 2 rows, for unknown and for missing.
    outputs
        1 with ``activation`` sigmoid or identity, else one per class with softmax.
    centre, scale
        float32 [numeric and boolean features], of the training data.

    Notes
    -----
    All embeddings lie in one table with an offset a column: one look-up a batch. Codes outside a column's table
    count as unknown, so that no input can index out of bounds.
    """

    levels: Tensor
    numbers: Tensor
    unseen: Tensor
    offsets: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(
        self,
        schema: FeatureSchema,
        centre: Tensor,
        scale: Tensor,
        *,
        outputs: int = 1,
        activation: str = "sigmoid",
        hidden: int = 64,
        embedding: int = 4,
    ) -> None:
        super().__init__()
        levels = [j for j, feature in enumerate(schema.features) if feature.kind == "categorical"]
        numbers = [j for j, feature in enumerate(schema.features) if feature.kind != "categorical"]
        unseen = torch.tensor([schema.features[j].unseen_code for j in levels], dtype=torch.long)
        rows = unseen + 2
        self.register_buffer("levels", torch.tensor(levels, dtype=torch.long))
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.long))
        self.register_buffer("unseen", unseen)
        self.register_buffer("offsets", torch.cumsum(rows, 0) - rows)
        self.register_buffer("centre", centre)
        self.register_buffer("scale", scale)
        self.embedding = nn.Embedding(max(1, int(rows.sum())), embedding)
        width = len(levels) * embedding + 2 * len(numbers)
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
        )
        self.activation = activation
        self.features = len(schema)

    def raw(self, matrix: Tensor) -> Tensor:
        """Logits, or the regression's standardised value: float32 [rows, outputs]."""
        codes = matrix.index_select(1, self.levels).long()
        known = (codes >= 0) & (codes <= self.unseen + 1)
        codes = torch.where(known, codes, self.unseen) + self.offsets
        numbers = matrix.index_select(1, self.numbers)
        missing = torch.isnan(numbers)
        deviations = ((numbers - self.centre) / self.scale).clamp(-DEVIATIONS_MAX, DEVIATIONS_MAX)
        deviations = torch.where(missing, torch.zeros_like(deviations), deviations)
        columns = [self.embedding(codes).flatten(1), deviations, missing.to(matrix.dtype)]
        out: Tensor = self.layers(torch.cat(columns, 1))
        return out

    @torch.no_grad()
    def stretch(self, centre: Tensor, scale: Tensor) -> None:
        """Take the standardisation of a regression's target back, in the last layer."""
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        last.weight.mul_(scale)
        last.bias.mul_(scale).add_(centre)

    def forward(self, matrix: Tensor) -> Tensor:
        """Scores of raw rows: float32 [rows, features] to float32 [rows, outputs]."""
        raw = self.raw(matrix)
        if self.activation == "sigmoid":
            return torch.sigmoid(raw)
        return torch.softmax(raw, 1) if self.activation == "softmax" else raw
