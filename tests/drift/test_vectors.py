"""Values that independent libraries or exact integration give: ours agree within the tolerance each one states."""

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy.stats import norm

from drift import compare
from drift.evidence import named
from drift.performance import expected, ppi
from drift.statistics import hellinger, js, kl, ks, l_infinity, psi, tvd
from drift.statistics.chi2 import chi2

TOLD = msgspec.json.decode((Path(__file__).parent / "vectors.json").read_bytes())
VECTORS = {f"{v['id']}-{v['statistic']}-{v['input']}": v for v in TOLD["vectors"]}


def columns(vector: dict[str, Any]) -> tuple[Any, Any]:
    told = TOLD["inputs"][vector["input"]]
    if vector["input"] == "num_big":
        steps = [(np.arange(n) + 0.5) / n for n in (2000, 1500)]
        return norm.ppf(steps[0]), 0.2 + 1.1 * norm.ppf(steps[1])
    if vector["input"].startswith("cat"):
        return tuple([level for level, n in told[side].items() for _ in range(n)] for side in ("ref", "cur"))
    return np.array(told["ref"]), np.array(told["cur"])


def agree(found: Any, vector: dict[str, Any]) -> None:
    assert found == pytest.approx(vector["value"], rel=vector["rtol"])


def of(statistic: str) -> Any:
    chosen = [name for name, vector in VECTORS.items() if vector["statistic"] == statistic]
    assert chosen
    return pytest.mark.parametrize("vector", [VECTORS[name] for name in chosen], ids=chosen)


@of("ks_2samp")
def test_ks(vector):
    found = compare(*columns(vector), "ks", exact="exact" in vector["how"])
    agree({"D": found.statistic, "p": found.p_value}, vector)


@of("cramer_von_mises_2samp")
def test_cramer_von_mises(vector):
    found = compare(*columns(vector), "cramer_von_mises", exact=False)
    agree({"T": found.statistic, "p": found.p_value}, vector)


@of("wasserstein_1")
def test_wasserstein(vector):
    agree(compare(*columns(vector), "wasserstein").statistic, vector)


@of("mann_whitney_u")
def test_mann_whitney(vector):
    found = compare(*columns(vector), "mann_whitney", exact=False)
    agree({"U_ref": found.statistic, "p": found.p_value}, vector)


@of("js_distance")
def test_js(vector):
    was, now = vector["ref_counts"], vector["cur_counts"]
    agree({"base2": js(was, now), "natural": js(was, now, base=np.e), "base2_divergence": js(was, now) ** 2}, vector)
    found = compare(*columns(vector), "js", edges=vector["inner_edges"])
    assert found.statistic == pytest.approx(vector["value"]["base2"], rel=vector["rtol"])


@of("tvd_hellinger_linf")
def test_distances(vector):
    was, now = vector["ref_counts"], vector["cur_counts"]
    agree(
        {
            "tvd": tvd(was, now),
            "hellinger": hellinger(was, now),
            "l_infinity": l_infinity(was, now)[0],
            "max_cdf_gap_at_edges": ks(was, now),
        },
        vector,
    )
    for method in ("tvd", "hellinger", "l_infinity"):
        found = compare(*columns(vector), method, edges=vector["inner_edges"])
        assert found.statistic == pytest.approx(vector["value"][method], rel=vector["rtol"])


@of("psi_jeffreys_smoothed")
def test_psi_smoothed(vector):
    agree(psi(vector["ref_counts"], vector["cur_counts"]), vector)
    agree(compare(*columns(vector), "psi", edges=vector["inner_edges"]).statistic, vector)


@of("psi_fixed_bins")
def test_psi_plain(vector):
    was, now = vector["ref_counts"], vector["cur_counts"]
    agree(psi(was, now, smoothing=0), vector)
    agree(kl(was, now) + kl(now, was), vector)
    agree(compare(*columns(vector), "psi", edges=vector["inner_edges"], smoothing=0).statistic, vector)


@of("chi2_contingency")
def test_chi2(vector):
    found = compare(*columns(vector), "chi2")
    assert found.statistic == pytest.approx(vector["value"]["chi2"], rel=vector["rtol"])
    assert found.p_value == pytest.approx(vector["value"]["p"], rel=vector["rtol"])
    told = TOLD["inputs"][vector["input"]]
    counts = [[told[side].get(level, 0) for level in vector["order"]] for side in ("ref", "cur")]
    agree(dict(zip(("chi2", "p", "dof"), chi2(*counts), strict=True)), vector)


@of("e_bh")
def test_naming_is_e_bh(vector):
    values, wanted = np.array(TOLD["inputs"]["evalues"]), vector["value"]
    # e-BH at level alpha over K hypotheses is ours with budget 1/alpha and equal shares.
    rejected = named(np.log(values / len(values)), math.log(1 / wanted["alpha"]), known=[])
    assert values[rejected].tolist() == wanted["rejected_values"]


@of("mmd2_unbiased_rbf")
def test_mmd(vector):
    found = compare(*columns(vector), "mmd", bandwidth=vector["value"]["sigma"], permutations=2000)
    assert found.statistic == pytest.approx(vector["value"]["mmd2"], rel=vector["rtol"])
    assert found.p_value == pytest.approx(vector["value"]["perm_p_2000"], abs=vector["value"]["perm_p_tolerance_abs"])


@of("cbpe_expected_metrics")
def test_cbpe(vector):
    told = TOLD["inputs"]["cls"]
    score = np.array(told["y_score"])
    found = expected(score, score >= told["threshold"])
    names = {"roc_auc": "auc"}
    agree({name: getattr(found, names.get(name, name)) for name in vector["value"]}, vector)


@of("ppi_mean")
def test_ppi(vector):
    told = TOLD["inputs"]["cls"]
    label, score = np.array(told["y_true"][:25], float), np.array(told["y_score"])
    plain = ppi(label, score[:25], score[25:], confidence=0.9, trust=1.0)
    tuned = ppi(label, score[:25], score[25:], confidence=0.9)
    assert plain.value == pytest.approx(vector["value"]["estimate_lambda1"], rel=vector["rtol"])
    assert [plain.low, plain.high] == pytest.approx(vector["value"]["ci90_lambda1"], rel=vector["rtol"])
    assert tuned.value == pytest.approx(vector["value"]["estimate_tuned"], rel=vector["rtol"])
    assert [tuned.low, tuned.high] == pytest.approx(vector["value"]["ci90_tuned"], rel=vector["rtol"])


def test_every_vector_has_a_test():
    tested = {
        parameter["statistic"]
        for function in globals().copy().values()
        for mark in getattr(function, "pytestmark", ())
        for parameter in mark.args[1]
    }
    assert tested == {vector["statistic"] for vector in TOLD["vectors"]}
