"""The checkers: plain counts over what plain readers found."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import confluent_kafka as ck

from benchmarks.storm.clients import read_all

_T = TypeVar("_T")


class Outcomes(NamedTuple):
    """What the log holds: predictions and dead letters of requests by id, and labels that hold by (id, label)."""

    predictions: Counter[str]
    refused: Counter[str]
    labels: Counter[tuple[str, str]]


class Rows(NamedTuple):
    """What ClickHouse holds: predictions by id, rows that were counted, labels that hold by (id, label)."""

    predictions: Counter[str]
    counted: int
    labels: Counter[tuple[str, str]]


def read_log(bootstrap: str) -> Outcomes:
    """Read the topics from their first record to their end."""
    labels: Counter[tuple[str, str]] = Counter()
    for message in read_all(bootstrap, "outcomes"):
        outcome = json.loads(message.value() or b"{}")
        labels[outcome["id"], outcome["label"]] += outcome["sign"]
    predictions = Counter(json.loads(message.value() or b"{}")["id"] for message in read_all(bootstrap, "predictions"))
    letters = [message for message in read_all(bootstrap, "dead-letters") if _source(message) == "requests"]
    return Outcomes(predictions, Counter(json.loads(letter.value() or b"{}")["id"] for letter in letters), labels)


def wrong_in_log(requests: Mapping[str, bool], labels: Mapping[str, str], log: Outcomes) -> dict[str, int]:
    """What the log owes: each acknowledged request one outcome of the right kind, each label one.

    Parameters
    ----------
    requests
        Acknowledged requests, each with whether it is well formed.
    labels
        Acknowledged labels by id.
    log
        What was read.

    >>> log = Outcomes(Counter(a=1, b=2), Counter(), Counter({("a", "1"): 1}))
    >>> wrong_in_log({"a": True, "b": True, "c": False}, {"a": "1", "b": "0"}, log)
    {'lost': 1, 'doubled': 1, 'labels_lost': 1, 'labels_doubled': 0}
    """
    lost = sum((log.predictions if good else log.refused)[id_] == 0 for id_, good in requests.items())
    outcomes = log.predictions + log.refused
    missing, doubled = _against(labels.items(), log.labels)
    return {"lost": lost, "doubled": _extra(outcomes), "labels_lost": missing, "labels_doubled": doubled}


def wrong_in_store(log: Outcomes, rows: Rows) -> dict[str, int]:
    """What ClickHouse owes: each prediction of the log one row, counted once; each label that holds one.

    >>> log = Outcomes(Counter(a=1, b=1), Counter(), Counter({("a", "1"): 1}))
    >>> wrong_in_store(log, Rows(Counter(a=2), 3, Counter()))
    {'rows_lost': 1, 'rows_doubled': 1, 'counts_off': 1, 'labels_lost_in_store': 1, 'labels_doubled_in_store': 0}
    """
    lost, doubled = _against(log.predictions, rows.predictions)
    held = [key for key, n in log.labels.items() if n]
    labels_lost, labels_doubled = _against(held, rows.labels)
    return {
        "rows_lost": lost,
        "rows_doubled": doubled,
        "counts_off": abs(rows.counted - log.predictions.total()),
        "labels_lost_in_store": labels_lost,
        "labels_doubled_in_store": labels_doubled,
    }


def _against(wanted: Iterable[_T], found: Counter[_T]) -> tuple[int, int]:
    return sum(found[key] == 0 for key in wanted), _extra(found)


def _extra(found: Counter[Any]) -> int:
    return sum(max(0, n - 1) for n in found.values())


def _source(message: ck.Message) -> str:
    headers = dict(message.headers() or ())
    return (headers.get("driftline-topic") or b"").decode()
