"""NannyML's own figures: questions on stdin, answers on stdout, both JSON."""

import json
import sys

import nannyml
import pandas as pd
from nannyml.drift.univariate.methods import FeatureType, MethodFactory
from nannyml.thresholds import StandardDeviationThreshold

NAMES = {"js": "jensen_shannon", "ks": "kolmogorov_smirnov"}


def value(question, method):
    was, now = (pd.Series(side, dtype=float if question["numeric"] else object) for side in question["sides"])
    kind = FeatureType.CONTINUOUS if question["numeric"] else FeatureType.CATEGORICAL
    name = method.partition(".")[2]
    made = MethodFactory.create(NAMES.get(name, name), kind, chunker=None, threshold=StandardDeviationThreshold())
    made._fit(was)
    return float(made._calculate(now))


values = {q["case"]: {method: value(q, method) for method in q["methods"]} for q in json.load(sys.stdin)}
sys.stdout.write(json.dumps({"version": nannyml.__version__, "values": values}) + "\n")
