"""README's "Your model" and `docs/models.md`, followed as they stand in a fresh folder, with tables from packages.

Nothing of a block is changed: the tables have the names and the columns that it speaks of.
"""

import json
import re
import time
from pathlib import Path

import joblib
import pandas as pd
import pytest
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from terminal import Terminal, blocks

pytestmark = pytest.mark.timeout(900)


def table(name: str) -> pd.DataFrame:
    """One of scikit-learn's own tables, in an order of chance."""
    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame.sample(frac=1, random_state=3, ignore_index=True)
    return frame.rename(columns=lambda column: column.replace(" (cm)", "").replace(" ", "_"))


def write_tables(folder: Path) -> dict[str, int]:
    """The tables of README; returns how many requests each `produce` sends."""
    churn = table("breast_cancer")
    churn.insert(0, "customer", [f"c-{n:05}" for n in range(len(churn))])
    churn["churned"] = churn.pop("target").map({0: "churned", 1: "stayed"})
    trips = table("diabetes").rename(columns={"target": "minutes"})
    trips["trip"] = range(1_000, 1_000 + len(trips))
    flowers = table("iris")
    flowers["species"] = flowers.pop("target").map(dict(enumerate(datasets.load_iris().target_names)))
    flowers["flower"] = range(len(flowers))
    churn[:369].to_parquet(folder / "train.parquet")
    churn[369:].to_parquet(folder / "today.parquet")
    trips[:300].to_parquet(folder / "trips.parquet")
    trips[300:].to_parquet(folder / "trips-today.parquet")
    flowers[:100].to_csv(folder / "flowers.csv", index=False)
    flowers[100:].to_csv(folder / "flowers-today.csv", index=False)
    return {"churn": 200, "minutes": len(trips) - 300, "species": 50}


def test_every_request_of_the_readme_is_answered(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    sent = write_tables(terminal.folder)
    first, second = (block.line for block in blocks("README.md", "Your model"))
    others = [block.line for block in blocks("docs/models.md", "From a table")]
    assert first.endswith(" && driftline up") and len(others) == 2
    with terminal.up(first):
        assert "no route yet: driftline model route NAME VERSION" in terminal.run("driftline status")
        for name, line in zip(sent, [second, *others], strict=True):
            said = terminal.run(line)
            assert "worker-0 serves it" in said
            assert f"requests: {sent[name]} answered\n" in said and f"labels: {sent[name]} taken\n" in said
            assert "REFUSED" not in said and "wait\n" not in said
        assert "no dead letters" in terminal.run("driftline dead-letters list")
        listed = json.loads(terminal.run("driftline model list --json"))
        assert {(row["model"], row["task"], row["serves"]) for row in listed} == {
            ("churn", "binary", "champion"),
            ("minutes", "regression", "champion"),
            ("species", "multiclass", "champion"),
        }
        refusals_are_told(terminal)
        answers_reach_the_page(terminal, sent)
        a_second_version_comes_and_goes(terminal)
        roles = json.loads(terminal.run("driftline status --json"))["roles"]
        assert {name: role["restarts"] for name, role in roles.items()} == dict.fromkeys(roles, 0)


def refusals_are_told(terminal: Terminal) -> None:
    """What goes wrong is said where it goes wrong, by exit code and in words."""
    said = terminal.run("driftline produce today.parquet --id customer", code=1)
    assert "3 models serve and none is named" in said and "add --model, one of churn, minutes, species" in said
    frame = pd.read_parquet(terminal.folder / "today.parquet").rename(columns=str.upper)
    frame.to_parquet(terminal.folder / "upper.parquet")
    said = terminal.run("driftline produce upper.parquet --model churn --id CUSTOMER --exclude CHURNED", code=1)
    assert "requests: 0 answered, 200 REFUSED" in said
    assert "200 no_known_feature" in said and "names are case-sensitive: 'MEAN_RADIUS' is 'mean_radius'" in said
    (place,) = re.findall(r"driftline (dead-letters show \S+)", said)
    assert "MEAN_RADIUS" in terminal.run(f"driftline {place}")


def answers_reach_the_page(terminal: Terminal, sent: dict[str, int]) -> None:
    deadline = time.monotonic() + 120
    while True:
        found = {row["model"]: row["rows"] for row in terminal.sentence()["panels"]["fleet"]["rows"]}
        if found == sent:
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.5)


def a_second_version_comes_and_goes(terminal: Terminal) -> None:
    """The class of the page is a canary, the champion, rolled back from, and removed; who watches goes on."""
    (code,) = (block.text for block in blocks("docs/models.md") if block.text.startswith("# model.py\n"))
    (terminal.folder / "model.py").write_text(code)
    frame = pd.read_parquet(terminal.folder / "train.parquet")
    x = frame.drop(columns=["customer", "churned"]).astype("float32")
    file = terminal.folder / "churn.joblib"
    joblib.dump(make_pipeline(StandardScaler(), LogisticRegression()).fit(x, frame["churned"]), file)
    terminal.run(
        "driftline model init churn --data train.parquet --label churned --version v2 --out packages/v2 "
        "--model model.py:Churn --with churn.joblib && driftline model add packages/v2"
    )
    produce = "driftline produce today.parquet --model churn"
    assert "worker-0 serves it" in terminal.run("driftline model route churn v2 --canary 50%")
    assert "200 answered" in terminal.run(produce)
    assert "serves as canary 50 %" in terminal.run("driftline model remove churn v2", code=1)
    assert "champion v2" in terminal.run("driftline model promote churn v2")
    assert "champion v1" in terminal.run("driftline model rollback churn")
    assert "nothing to go back to" in terminal.run("driftline model rollback churn", code=1)
    assert "churn v2 is removed" in terminal.run("driftline model remove churn v2")
    assert "200 answered" in terminal.run(produce)
