"""Model files that take batches of one number of rows and no other."""

from pathlib import Path

import msgspec

from inference.backends.errors import ArtefactError
from inference.packages.model_toml import Limits, ModelPackage


def fit_rows(package: ModelPackage, rows: int | None, file: Path) -> None:
    """Refuse a file whose number of rows is not the package's.

    Parameters
    ----------
    rows
        Of every batch; None where the file takes any number.
    file
        What a refusal calls it.
    """
    if rows not in (None, package.limits.batch_rows):
        raise ArtefactError(
            f"{file}: exported for batches of {rows} rows, model.toml says limits.batch_rows = "
            f"{package.limits.batch_rows}; make them equal"
        )
    if rows is not None and package.limits.buckets:
        raise ArtefactError(
            f"{file}: exported for batches of {rows} rows alone, model.toml lists limits.buckets; take them "
            "out, or export it with a dynamic number of rows"
        )


def limits_of(rows: int | None, file: Path) -> Limits | None:
    """Batches as a file was exported for; None where it takes any number of rows.

    >>> limits_of(512, Path("model.pt2")).shapes, limits_of(None, Path("model.pt2"))
    ((512,), None)
    """
    if rows is None:
        return None
    try:
        return msgspec.convert({"batch_rows": rows}, Limits)
    except msgspec.ValidationError:
        raise ArtefactError(
            f"{file.name}: exported for batches of {rows} rows; export it with an example of 512 rows (or another "
            "multiple of 16), or with a dynamic number of rows (torch.export.Dim, None in ONNX converters)"
        ) from None
