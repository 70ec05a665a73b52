"""The year's flights with their weather, and three models' answers."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

TIME, JANUARY_ENDS = "ts", pd.Timestamp("2013-02-01", tz="UTC")
_WEATHER = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]
_LEVELS = ["carrier", "origin", "dest"]
#: Known before the flight; ``dep_delay`` is known when it leaves.
PLANNED = ["carrier", "origin", "dest", "distance", "hour", "minute", *_WEATHER]
SCORED = ("p", "hat", "y")


class Model(NamedTuple):
    """A task on the flights: its features, its label out of the table, and how `drift` is told of it."""

    name: str
    task: str
    features: list[str]
    label: str

    @property
    def columns(self) -> list[str]:
        """Everything that the stream and the reference hold."""
        return [TIME, *self.features, *(("p", "y") if self.task == "regression" else SCORED)]


MODELS = [
    Model("late", "binary", PLANNED, "late"),
    Model("minutes", "regression", [*PLANNED, "dep_delay"], "arr_delay"),
    Model("class", "multiclass", [*PLANNED, "dep_delay"], "kind"),
]


def read(folder: Path) -> pd.DataFrame:
    """Flights in the order of their scheduled departures, each with the weather of its hour and airport."""
    flights, weather = pd.read_csv(folder / "flights.csv.zip"), pd.read_csv(folder / "weather.csv")
    weather = weather.drop_duplicates(["origin", "time_hour"])[["origin", "time_hour", *_WEATHER]]
    table = flights.merge(weather, how="left", on=["origin", "time_hour"])
    table[TIME] = pd.to_datetime(table["time_hour"], utc=True) + pd.to_timedelta(table["minute"], unit="min")
    arrived = table["arr_delay"]
    table["late"] = np.where(arrived > 15, "late", "ontime")
    table["kind"] = np.select([arrived > 15, arrived < -10], ["late", "early"], "ontime")
    table.loc[arrived.isna(), ["late", "kind"]] = None  # Cancelled or diverted: nobody ever says.
    return table.sort_values(TIME, kind="stable", ignore_index=True)


def answers(table: pd.DataFrame, model: Model, seed: int) -> pd.DataFrame:
    """What the model says of every flight, and the truth.

    It is trained on January; January's own rows are answered by models that have not seen their day.
    """
    january = (table[TIME] < JANUARY_ENDS).to_numpy()
    label = table[model.label]
    known = january & label.notna().to_numpy()
    x = table[model.features].copy()
    for name in _LEVELS:
        x[name] = pd.Categorical(x[name], categories=sorted(x.loc[january, name].unique())).codes
    features = x.to_numpy(np.float64)
    day = table[TIME].dt.dayofyear.to_numpy()
    scores, hat = _ask(model, features[known], label[known], features, seed)
    for fold in range(5):
        rows, others = january & (day % 5 == fold), known & (day % 5 != fold)
        scores[rows], hat[rows] = _ask(model, features[others], label[others], features[rows], seed)
    answered = table[[TIME, *model.features]].assign(p=scores, y=label)
    return (answered if model.task == "regression" else answered.assign(hat=hat))[model.columns]


def _ask(model: Model, x: np.ndarray, y: pd.Series, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Train on rows; score and predicted class of others."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    settings = {"max_iter": 100, "learning_rate": 0.06, "min_samples_leaf": 60, "random_state": seed}
    if model.task == "regression":
        value = HistGradientBoostingRegressor(**settings).fit(x, y).predict(rows)
        return value, value
    chosen = HistGradientBoostingClassifier(**settings).fit(x, y)
    chances = chosen.predict_proba(rows)
    if model.task == "binary":
        late = chances[:, list(chosen.classes_).index("late")]
        return late, np.where(late >= 0.5, "late", "ontime").astype(object)
    return chances.max(axis=1), chosen.classes_[chances.argmax(axis=1)].astype(object)
