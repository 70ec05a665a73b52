"""Evidently's own figures: questions on stdin, answers on stdout, both JSON."""

import json
import sys

import evidently
import pandas as pd
from evidently.legacy.calculations import stattests
from evidently.legacy.core import ColumnType

TESTS = {
    "psi": stattests.psi_stat_test,
    "js": stattests.jensenshannon_stat_test,
    "kl": stattests.kl_div_stat_test,
    "wasserstein": stattests.wasserstein_stat_test,
    "hellinger": stattests.hellinger_stat_test,
}


def value(question, method):
    # Its reports drop null before they ask a test.
    was, now = (pd.Series(side, dtype=float if question["numeric"] else object).dropna() for side in question["sides"])
    kind = ColumnType.Numerical if question["numeric"] else ColumnType.Categorical
    return float(TESTS[method.partition(".")[2]](was, now, kind, 0.1).drift_score)


values = {q["case"]: {method: value(q, method) for method in q["methods"]} for q in json.load(sys.stdin)}
sys.stdout.write(json.dumps({"version": evidently.__version__, "values": values}) + "\n")
