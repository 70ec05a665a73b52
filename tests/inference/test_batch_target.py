"""What `limits` of a model.toml ask of micro-batches: bounds, refusals, and the strictest of several models."""

from types import SimpleNamespace

import pytest

from inference.packages.model_toml import Limits, ModelPackage, PackageError, read_package, write_package
from inference.serving.batch_target import strictest_target
from streams.runtime.batch_control import BatchTarget
from streams.wire.records import Route
from streams.wire.schema import Feature


def package(**limits: int) -> ModelPackage:
    return ModelPackage(
        name="m", version="v1", task="binary", artefact="m.pt2", inputs=(Feature("x"),), limits=Limits(**limits)
    )


def served(canary: dict[str, float] | None = None, shadows: tuple[str, ...] = (), **limits: Limits) -> SimpleNamespace:
    scorers = {version: SimpleNamespace(package=SimpleNamespace(limits=of)) for version, of in limits.items()}
    route = Route(model="m", epoch=1, ts=0, champion="v1", canary=canary or {}, shadows=shadows)
    return SimpleNamespace(route=route, scorers=scorers)


@pytest.mark.parametrize("limits", [{}, {"latency_ms_p99": 200}, {"latency_ms_p99": 1, "wait_ms_max": 0}])
def test_a_target_is_written_and_read_and_none_stays_none(tmp_path, limits):
    write_package(package(**limits), tmp_path)
    assert read_package(tmp_path) == package(**limits)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("latency_ms_p99 = 0", "limits.latency_ms_p99: Expected `int` >= 1"),
        ("latency_ms_p99 = 600001", "limits.latency_ms_p99: Expected `int` <= 600000"),
        ('latency_ms_p99 = "fast"', "limits.latency_ms_p99: Expected `int | null`, got `str`"),
        (
            "latency_ms_p99 = 20\nwait_ms_max = 20",
            "limits: limits.wait_ms_max 20 leaves nothing of limits.latency_ms_p99 20; lower it (0 never waits), or",
        ),
        ("latency_p99 = 20", "unknown key limits.latency_p99; did you mean latency_ms_p99?"),
    ],
)
def test_a_refusal_says_where_and_what_to_do(tmp_path, line, why):
    file = write_package(package(), tmp_path)
    text = file.read_text().replace("wait_ms_max = 5\n", "").replace("[limits]\n", f"[limits]\n{line}\n")
    file.write_text(text)
    with pytest.raises(PackageError) as refused:
        read_package(tmp_path)
    assert why in str(refused.value) and str(file) in str(refused.value)


def test_the_strictest_of_all_that_answer_counts_and_shadows_do_not():
    slow = served(v1=Limits(latency_ms_p99=900, wait_ms_max=50, batch_rows=512))
    quick = served(v1=Limits(latency_ms_p99=300, wait_ms_max=100, batch_rows=1_024))
    without = served(v1=Limits(wait_ms_max=0, batch_rows=16))
    shadow = served(shadows=("v2",), v1=Limits(), v2=Limits(latency_ms_p99=10))
    canary = served({"v2": 0.1}, v1=Limits(), v2=Limits(latency_ms_p99=100, wait_ms_max=1))
    assert strictest_target({"a": slow, "b": quick, "c": without, "d": shadow}) == BatchTarget(300, 50, 512)
    assert strictest_target({"a": slow, "b": canary}) == BatchTarget(100, 1, 512)
    assert strictest_target({"c": without, "d": shadow}) is None
    assert strictest_target({}) is None
