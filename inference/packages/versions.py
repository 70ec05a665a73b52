"""Versions of one model: their order, and what they must have in common."""

import re
from collections.abc import Mapping

from inference.packages.model_toml import ModelPackage


def version_key(version: str) -> list[tuple[int, int, str]]:
    """Sort key that puts v9 before v10.

    >>> sorted(["v10", "v9", "2026-11-21"], key=version_key)
    ['2026-11-21', 'v9', 'v10']
    """
    parts = re.findall(r"\d+|\D+", version)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def kinds_of(package: ModelPackage) -> dict[str, str]:
    """Kind of each column of a package."""
    return {feature.name: feature.kind for feature in package.inputs}


def conflict(kinds: Mapping[str, str], other: str, others: Mapping[str, str]) -> str:
    """Say why a version cannot stand beside another of its model; empty where it can.

    One model has one schema of requests and one table in the store, so a column keeps its kind for ever. That a column
    comes or goes is no conflict, nor that its levels or its range change, nor the classes: columns are added to the
    table, and a class is text in it. Another task is refused where versions are routed together.

    Parameters
    ----------
    kinds, others
        Kind of each column of the version, and of the other one.

    >>> conflict({"age": "numeric", "vip": "boolean"}, "v1", {"age": "numeric", "city": "categorical"})
    ''
    >>> conflict({"age": "categorical"}, "v1", {"age": "numeric"}).partition(";")[0]
    "column 'age' is categorical, and numeric in v1"
    """
    for name, kind in kinds.items():
        if others.get(name, kind) != kind:
            return (
                f"column {name!r} is {kind}, and {others[name]} in {other}; the versions of a model share requests and "
                "a table: give this one a model name of its own (`driftline model init NAME`), or the column another "
                "name"
            )
    return ""
