"""Commands over files: references, backtests, reports; the summary is looked at in a real browser."""

import base64
import importlib.util
import json
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from drift import Reference
from drift.store import ensure_observations
from driftline.cli import app

pytestmark = pytest.mark.system  # minutes: `make test-all`

WINDOW, WINDOWS, CHANGE = 500, 40, 25  # From window 25 on, Oslo is gone.


def run(*words, code=0):
    """Run a command; returns stdout, or the refusal's text where one is expected."""
    found = CliRunner().invoke(app, [str(word) for word in words])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        assert code == 1, found.exception
        return str(found.exception)
    assert found.exit_code == code, found.output
    return found.stdout if code == 0 else found.output


def people(rows, rng, cities=("Rome", "Oslo", "Bari")):
    age = rng.normal(40, 12, rows)
    score = 1 / (1 + np.exp(-(age - 40) / 10))
    frame = pd.DataFrame({"age": age, "city": rng.choice(cities, rows), "vip": rng.random(rows) < 0.2})
    said = np.where(score >= 0.5, "yes", "no")
    return frame.assign(p=score, said=said, y=np.where(rng.random(rows) < score, "yes", "no"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A training table, and a stream that loses a city, with an id and the labels apart."""
    folder, rng = tmp_path_factory.mktemp("files"), np.random.default_rng(5)
    people(20_000, rng).to_parquet(folder / "train.parquet")
    stream = pd.concat(
        [people(WINDOW * CHANGE, rng), people(WINDOW * (WINDOWS - CHANGE), rng, ("Rome", "Bari"))], ignore_index=True
    )
    stream["id"] = [f"r{k}" for k in range(len(stream))]
    stream["at"] = pd.Timestamp("2026-11-01", tz="UTC") + pd.to_timedelta(np.arange(len(stream)) * 0.12, unit="s")
    stream[["id", "y"]].iloc[::2].to_csv(folder / "labels.csv", index=False)
    stream.drop(columns="y").to_parquet(folder / "stream.parquet")
    words = ("--score", "p", "--prediction", "said", "--label", "y", "--task", "binary")
    run("reference", "build", "--data", folder / "train.parquet", "--out", folder / "ref.arrow", *words)
    return folder


def test_a_reference_is_shown(files):
    said = json.loads(run("reference", "show", files / "ref.arrow", "--json"))
    columns = {column["name"]: column for column in said["columns"]}
    train = pd.read_parquet(files / "train.parquet")
    assert said["rows"] == len(train) and list(columns) == ["age", "city", "vip", "score", "prediction"]
    assert columns["age"]["content"] == f"{train.age.min():.4g} to {train.age.max():.4g}"
    shares = train.city.value_counts(normalize=True)
    assert columns["city"]["content"] == ", ".join(f"{city} {share:.0%}" for city, share in shares.items())
    assert "age" in run("reference", "show", files / "ref.arrow")


def test_a_reference_that_alarms_by_itself_is_refused(files, tmp_path):
    train = pd.read_parquet(files / "train.parquet").sort_values("age")
    train.to_parquet(tmp_path / "sorted.parquet")
    words = ("reference", "build", "--data", tmp_path / "sorted.parquet", "--out", tmp_path / "ref.arrow")
    assert "half differ in age, " in run(*words, code=1)
    assert not (tmp_path / "ref.arrow").exists()
    run(*words, "--anyway")
    assert "age" in json.loads(run("reference", "check", tmp_path / "ref.arrow", "--json", code=1))["columns"]
    assert "halves are alike in all 5 columns" in run("reference", "check", files / "ref.arrow")
    assert "not a reference" in run("reference", "check", tmp_path / "sorted.parquet", code=1)


def test_a_reference_of_rows_that_stay_in_their_store(store, files, monkeypatch, tmp_path):
    rows = pd.read_parquet(files / "train.parquet")[["age", "city"]][:1000].assign(n=range(1000))
    store.rows("CREATE TABLE people (age Float64, city String, n UInt32) ENGINE = MergeTree ORDER BY n")
    store.insert("people", {name: rows[name].tolist() for name in rows})
    at = store.settings
    monkeypatch.setenv("DRIFTLINE_CLICKHOUSE__URL", f"clickhouse://{at.user}@{at.host}:{at.port}/{at.database}")
    monkeypatch.setenv("DRIFTLINE_CLICKHOUSE__PASSWORD", at.resolved_password())
    words = ("reference", "build", "--from-store", "people", "--order-by", "n", "--exclude", "n")
    said = json.loads(run(*words, "--out", tmp_path / "ref.arrow", "--json"))
    assert said["id"] == Reference.fit(rows, exclude=("n",)).id and said["rows"] == 1000
    assert "one of them" in run("reference", "build", code=2)
    assert "name columns that order them" in run(*words[:4], code=1)


def test_a_backtest_names_the_column_and_the_window(files):
    words = ("backtest", "--reference", files / "ref.arrow", "--stream", files / "stream.parquet")
    said = json.loads(run(*words, "--labels", files / "labels.csv", "--json"))
    assert (said["rows"], said["windows"]) == (WINDOW * WINDOWS, WINDOWS)
    (incident,) = said["incidents"]
    # A feature that moves is a watch: told, and paged to nobody.
    assert incident["columns"] == ["city"] and incident["opened"] == incident["told"] == CHANGE
    assert incident["paged"] is None
    assert said["columns"][0]["column"] == "city"
    text = run(*words)
    assert text.startswith("city moved: level Oslo fell from 33")
    assert re.search(r"city +TVD 0\.3\d+ +0\.05", text)


def test_the_same_by_time(files):
    words = ("backtest", "--reference", files / "ref.arrow", "--stream", files / "stream.parquet", "--json")
    (incident,) = json.loads(run(*words, "--window", "1min", "--time", "at"))["incidents"]
    assert incident["opened"].startswith("2026-11-01") and incident["columns"] == ["city"]


def test_the_summary_opens_offline(files, tmp_path):
    out = tmp_path / "report.html"
    words = ("backtest", "--reference", files / "ref.arrow", "--stream", files / "stream.parquet", "--out", out)
    run(*words, "--labels", files / "labels.csv")
    text = out.read_text()
    for said in ("city moved: level Oslo fell", "row 12,500", "To run it again", "sha256", "realised"):
        assert said in text
    without_library = re.sub(r"<script.*?</script>", "", text, flags=re.S)
    assert "http" not in without_library
    _look(out, tmp_path)


def _look(out: Path, folder: Path) -> None:
    browsing = _browser()
    with browsing.chromium() as browser:
        browser.driver.get(out.as_uri())
        browser.until(lambda: len(browser.find(".js-plotly-plot .cartesianlayer")) == 5, "five charts")
        assert browser.complaints() == [] and browser.asked() == set()
        browser.shoot(Path(os.environ.get("DRIFTLINE_TEST_PICTURES", folder)) / "backtest.png")
        paper = browser.driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"]
    assert len(re.findall(rb"/Type\s*/Page[^s]", base64.b64decode(paper))) == 2


def _browser():
    path = Path(__file__).parents[1] / "dashboards" / "browser.py"
    spec = importlib.util.spec_from_file_location("report_browser", path)
    browsing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(browsing)
    if browsing.MISSING:
        pytest.skip(f"{browsing.MISSING} is not here")
    return browsing


def test_evidently_compares_a_stretch_of_the_store(files, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = store.settings
    url = f"clickhouse://{settings.user}@{settings.host}:{settings.port}/{settings.database}"
    monkeypatch.setenv("DRIFTLINE_CLICKHOUSE__URL", url)
    monkeypatch.setenv("DRIFTLINE_CLICKHOUSE__PASSWORD", settings.resolved_password())
    monkeypatch.setenv("DRIFTLINE_REGISTRY", str(tmp_path / "models"))
    (tmp_path / "model.py").write_text(
        "import numpy as np\n\n\nclass Age:\n"
        "    def load(self, device): ...\n"
        "    def predict(self, batch):\n"
        "        return 1 / (1 + np.exp(-(np.nan_to_num(batch['age']) - 40) / 10))\n"
    )
    train = files / "train.parquet"
    words = ("--label", "y", "--exclude", "p,said", "--model", tmp_path / "model.py:Age")
    run("model", "init", "people", "--data", train, *words, "--out", tmp_path / "people")
    run("model", "add", tmp_path / "people")
    rows = pd.read_parquet(files / "stream.parquet").tail(2_000)
    n, now = len(rows), 1_790_000_000_000
    ensure_observations(store, "people", [("age", "numeric"), ("city", "categorical"), ("vip", "boolean")])
    same = {"model": "people", "version": "v1", "route": "champion", "source_topic": "requests"}
    store.insert(
        "observations_people",
        {
            **{name: [value] * n for name, value in same.items()},
            **{name: [0] * n for name in ("source_partition", "row", "batch_rows")},
            "id": rows.id.tolist(),
            "ts": [now + k for k in range(n)],
            "score": rows.p.to_numpy(np.float32),
            "prediction": rows.said.tolist(),
            "source_offset": list(range(n)),
            "age": rows.age.to_numpy(np.float32),
            "city": rows.city.tolist(),
            "vip": rows.vip.tolist(),
        },
    )
    report = ("report", "--model", "people", "--from", "2026-09-21", "--to", "2026-09-22", "--out", tmp_path / "e.html")
    assert "--reference-data" in run(*report, code=2)
    said = json.loads(run(*report, "--reference-data", train, "--json"))
    assert (said["version"], Path(said["file"])) == ("v1", tmp_path / "e.html")
    page = (tmp_path / "e.html").read_text()
    assert "Dataset Drift" in page and '"city"' in page
    assert "no incident 'people-9'" in run("report", "--incident", "people-9", "--reference-data", train, code=1)
    assert "answered nothing" in run(
        "report", "--model", "other", "--from", "2026-09-21", "--reference-data", train, code=1
    )
