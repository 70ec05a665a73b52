"""The doctor and `status` look at what runs: crash loops, lag, what is refused just now."""

import json
import os

import pandas as pd
import pytest
from typer.testing import CliRunner

from drift import Reference
from driftline import doctor, settings
from driftline.cli import app
from driftline.doctor import models, running, schema_registry
from driftline.roles import run_file
from driftline.supervisor.crashes import WITHIN_MS
from driftline.supervisor.status_text import lines
from streams.clock import now_ms
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.runtime.transactions import TransactionalProducer
from streams.wire.block import Block
from streams.wire.dead_letters import dead_letter
from streams.wire.refusals import Refusal

NOW = 1_700_000_000_000
GAP = "watch: answers/0: the group has read here before"


def role(*ends_ago_s, state="up", why=GAP, steps=()):
    ends = [NOW - int(ago * 1000) for ago in ends_ago_s]
    return {
        "pid": 7,
        "state": state,
        "restarts": len(ends),
        "ends_ms": ends,
        "why": why if ends else "",
        "log": "logs/monitor.log",
        "steps": list(steps),
    }


def step(**more):
    return {"step": "count", "lag_rows": 0, "lag_ms": 0, "trouble": None, "waits": "", "notes": []} | more


def told(**roles):
    return [(one.state, one.said, one.fix) for one in running.judged(roles, NOW)]


def test_a_role_that_crashes_again_and_again_fails_with_its_reason_in_words():
    [(state, said, fix)] = told(monitor=role(10, 20, 30, 40, 50), store=role())
    assert state == "fail" and said == f"monitor has ended 5 times in the last 10 minutes; {GAP}"
    assert "logs/monitor.log" in fix


@pytest.mark.parametrize(
    ("one", "state"),
    [
        (role(), "ok"),
        (role(5), "warn"),  # once, and it came back: somebody killed it
        (role(5, state="restarting"), "fail"),
        (role(5, 10), "fail"),
        (role(*[WITHIN_MS / 1000 + 5] * 9), "ok"),  # long ago
    ],
)
def test_one_end_is_a_warning_and_two_are_no_accident(one, state):
    assert [found for found, *_ in told(monitor=one)] == [state]


def test_steps_without_progress_behind_or_waiting_are_told():
    steps = [
        step(step="score", trouble="commit: TimeoutError: away"),
        step(step="score", lag_rows=5_000, lag_ms=90_000),
        step(step="join", lag_rows=5_000, lag_ms=9_000),
        step(step="judge", lag_rows=5, lag_ms=None),
        step(step="watch", waits="topic answers is not there yet; `driftline topics create answers`"),
        step(step="watch", notes=[[NOW - 5_000, "answers was deleted and made again"], [0, "long ago"]]),
    ]
    assert told(all=role(steps=steps)) == [
        ("fail", "all, score makes no progress: commit: TimeoutError: away", "see logs/monitor.log"),
        ("warn", "all, score: 5,000 rows wait, the oldest for 90 s", "roles.workers = 2"),
        (
            "warn",
            "all, watch waits: topic answers is not there yet; `driftline topics create answers`",
            "driftline topics create answers",
        ),
        ("note", "all, watch: answers was deleted and made again", ""),
    ]


def test_status_shows_the_same():
    found = {
        "state": "up",
        "kafka": "k",
        "clickhouse": "c",
        "page": "p",
        "roles": {"monitor": {**role(1), "ends_ms": [now_ms()] * 3}},
    }
    text = "\n".join(lines(found))
    assert f"  ! ended 3 times in the last 10 minutes; {GAP}" in text
    assert next(iter(lines({**found, "state": "starting", "waits": {"store": "no answer"}, "roles": {}}))) == (
        "starting: waiting for store (no answer)"
    )


def test_what_a_role_needs_and_does_not_get_is_found_and_shown():
    away = "no Kafka broker answers at k:9092: timed out; records wait for it; start it, or mend kafka.bootstrap"
    waiting = {**role(), "waits": [away, "no topic counts on k:9092; `driftline topics create`"]}
    assert told(monitor=waiting) == [
        ("warn", f"monitor waits: {away}", "driftline status"),
        (
            "warn",
            "monitor waits: no topic counts on k:9092; `driftline topics create`",
            "driftline topics create",
        ),
    ]
    found = {"state": "up", "kafka": "k", "clickhouse": "c", "page": "p", "roles": {"monitor": waiting}}
    assert f"  waiting: {away}" in list(lines(found))


def test_the_steps_and_waits_of_a_role_are_what_it_says_and_none_where_it_says_nothing(tmp_path, monkeypatch):
    said = {"http://up/status": {"role": "worker-0", "steps": [step()], "waits": ["the store is away"]}}
    monkeypatch.setattr(run_file, "ask_status", lambda http, url: said.get(url))
    urls = {"worker-0": "http://up/status", "store": "http://hangs/status"}
    run = {"state": "up", "waits": {}, "kafka": "k", "clickhouse": "c", "page": "p", "starting": {}, "urls": urls}
    run_file.write(tmp_path, os.getpid(), {**run, "roles": {"worker-0": role(), "store": role()}})
    roles = (run_file.running(tmp_path) or {})["roles"]
    assert (roles["worker-0"]["steps"], roles["worker-0"]["waits"]) == ([step()], ["the store is away"])
    assert (roles["store"]["steps"], roles["store"]["waits"]) == ([], [])


def test_a_schema_registry_that_is_away_is_found(tmp_path):
    assert list(schema_registry.reachable(settings.load({}))) == []
    [one] = schema_registry.reachable(settings.load({"schema_registry.url": "http://127.0.0.1:9"}))
    assert (one.state, one.said.partition(": ")[0]) == ("fail", "schema registry http://127.0.0.1:9")
    assert schema_registry.reachable in doctor._WITH_SETTINGS


def test_the_doctor_never_says_all_is_well_while_a_role_crashes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".driftline").mkdir()
    state = {**role(), "ends_ms": [now_ms() - n * 12_000 for n in range(5)], "why": GAP}
    run = {"state": "up", "waits": {}, "kafka": "k", "clickhouse": "c", "page": "http://p", "starting": {}, "urls": {}}
    run_file.write(tmp_path / ".driftline", os.getpid(), {**run, "roles": {"monitor": state}})
    done = CliRunner().invoke(app, ["doctor", "--json"])
    found = [one for one in json.loads(done.stdout) if one["name"] == "roles"]
    assert done.exit_code == 1
    assert [one["said"] for one in found] == [f"monitor has ended 5 times in the last 10 minutes; {GAP}"]


def test_what_is_refused_just_now_is_told_by_its_reason(kafka, topic_prefix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    given = settings.load({"kafka.bootstrap": kafka, "kafka.prefix": topic_prefix})
    assert list(running.refused(given)) == []  # there is no such topic
    create(cluster, Layout())
    assert [one.state for one in running.refused(given)] == ["ok"]
    block = Block.of("requests", 0, [b"{"] * 7, first=0)
    letters = [dead_letter(block, Refusal(at, "undecodable", "$", "cut"), "score") for at in range(6)]
    letters.append(dead_letter(block, Refusal(6, "unknown_model", "$.model", "x"), "score"))
    TransactionalProducer(cluster, "test").commit((), letters, None)
    [one] = running.refused(given)
    assert (one.state, one.fix) == ("warn", "driftline dead-letters list --from -10m")
    assert one.said.startswith("7 records were refused in the last 10 minutes: 6 by score: the bytes are no JSON")
    assert "1 by score: no route for the model" in one.said
    monkeypatch.setattr(running, "_LETTERS_MAX", 3)
    [one] = running.refused(given)
    assert one.said.startswith("more than 2 records")  # the third offset is the commit's marker
    assert running.refused in doctor._WITH_SETTINGS and running.roles in doctor._WITH_SETTINGS


def test_a_column_that_no_model_has_is_named_with_the_nearest(tmp_path):
    frame = pd.DataFrame({"age": [31.5, 45.2, 18.0] * 20, "p": [0.2, 0.7, 0.4] * 20})
    path = tmp_path / "churn.reference"
    path.write_bytes(Reference.fit(frame, task="binary", score="p").to_bytes())
    topics = [{"topic": "answers", "model": "churn", "score": "p", "reference": str(path)}]

    def told(**watch):
        given = settings.load({"watch_topics": topics, "registry": str(tmp_path / "none"), "watch": watch})
        return [(one.said, one.fix) for one in models.watch_columns(given)]

    assert told() == told(exclude=["ag*", "score"]) == told(columns={"age": {"tolerance": 0.1}}) == []
    assert told(columns={"agee": {"exclude": True}}) == [
        ("[watch] names agee, which is a column of no model here", "write age")
    ]
