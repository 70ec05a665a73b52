"""A version that is away for too long: who answers in its place, what is said of it, and how it comes back."""

import itertools
import time

import numpy as np
import pytest
from prometheus_client import REGISTRY

from inference import (
    ArtefactError,
    Fatal,
    InHand,
    Limits,
    ModelPackage,
    Outputs,
    Registry,
    RegistryError,
    RouteError,
    Score,
    Scorer,
    Serving,
    Unavailable,
    read_package,
)
from inference.backends.remote.fallback import Fallback
from inference.backends.remote.reading import read_fallback, read_remote
from streams.wire.records import Route
from streams.wire.schema import Feature
from tests.inference import remote_servers as servers
from tests.inference.test_score import INPUTS, Ramp, block, letters, out, ramp, said, seen

_FEATURES = {"city": "Rome"}


class Clock:
    """Time that the test says."""

    now_ms = 0.0

    def __call__(self):
        return self.now_ms


class Remote(Ramp):
    """As `Ramp`, ten more, and away while ``away``; ``calls`` counts."""

    def __init__(self, away=False):
        super().__init__(10)
        self.away, self.calls = away, 0

    def score(self, matrix):
        self.calls += 1
        if self.away:
            raise Unavailable("http://x cannot be reached")
        return super().score(matrix)


def remote(backend, fallback="v1", version="v2", after_s=30, inputs=INPUTS, may_be_away=False, **more):
    package = ModelPackage(
        name="ramp", version=version, task=more.pop("task", "regression"), artefact="remote.toml", inputs=inputs,
        limits=Limits(batch_rows=16), outputs=more.pop("outputs", Outputs()),
    )  # fmt: skip
    scores = () if isinstance(fallback, str) else fallback
    stands_by = Fallback(fallback if isinstance(fallback, str) else "", scores, after_s)
    return Scorer(package, backend, sleep=lambda s: None, fallback=stands_by, may_be_away=may_be_away, **more)


def served(*scorers, clock, **route):
    """What serves by these versions, with a clock; and what its steps are made of."""
    known = {s.package.version: s for s in scorers}
    following = Serving(lambda name, version: known[version], ticks=clock)
    following.follow(Route(model="ramp", epoch=1, ts=0, **({"champion": "v2"} | route)))
    return following


def rows(first, count):
    return block(*({"x": n, **_FEATURES} for n in range(first, first + count)), first=first)


def answers(effects):
    return [(p.version, p.route, p.score) for p in said(effects)]


def test_rows_wait_then_the_other_version_answers_then_the_remote_does_again():
    clock, backend = Clock(), Remote()
    following = served(remote(backend), ramp("v1"), clock=clock)
    step = Score(following)
    [effects] = step.process([rows(0, 2)])
    assert answers(effects) == [("v2", "champion", 10), ("v2", "champion", 11)]
    backend.away = True
    for clock.now_ms in (1_000, 30_999):
        with pytest.raises(Unavailable):
            step.process([rows(2, 2)])
        assert following.fallbacks() == ""
    clock.now_ms = 31_000  # 30 s after the first call that failed
    [effects] = step.process([rows(2, 2)])
    assert answers(effects) == [("v1", "fallback", 2), ("v1", "fallback", 3)]
    assert [(head.version, batch["route"].to_pylist()) for head, batch in seen(effects)] == [("v1", ["fallback"] * 2)]
    assert not out(effects, "dead-letters")
    clock.now_ms = 71_000
    assert following.fallbacks() == (
        "ramp v2 has been away for 70 s, v1 answers in its place: http://x cannot be reached"
    )
    backend.away = False
    [effects] = step.process([rows(4, 1)])
    assert answers(effects) == [("v2", "champion", 14)]
    assert following.fallbacks() == ""
    backend.away = True  # and it is waited for anew
    with pytest.raises(Unavailable):
        step.process([rows(5, 1)])


def test_a_failure_that_is_no_outage_is_none_of_the_fallbacks():
    class Ill(Remote):
        def score(self, matrix):
            if self.away:
                raise Fatal("the device is lost")
            return super().score(matrix)

    backend = Ill()
    step = Score(served(remote(backend, after_s=0), ramp("v1"), clock=Clock()))
    backend.away = True
    with pytest.raises(Fatal):
        step.process([rows(0, 1)])


def test_every_row_is_answered_once_and_in_order_beside_a_champion():
    backend = Remote()
    route = {"champion": "v1", "canary": {"v2": 0.5}}
    step = Score(served(remote(backend, after_s=0), ramp("v1"), clock=Clock(), **route))
    [before] = step.process([rows(0, 40)])
    backend.away = True
    [effects] = step.process([rows(0, 40)])
    assert [p.score for p in said(effects)] == [*range(7), 8, *range(10, 40)]
    assert len(letters(effects)) == 2  # 7 and 9 have no score, of either version
    roles = {p.id: p.route for p in said(effects)}
    expected = {"champion": "champion", "canary": "fallback"}
    assert roles == {p.id: expected[p.route] for p in said(before)}


def test_the_fallback_sees_its_columns_and_its_levels_and_a_shadow_goes_on():
    old = (Feature("city", "categorical", required=False, categories=("Oslo", "Rome")), Feature("x"))
    backend = Remote()

    class Codes(Ramp):
        def score(self, matrix):
            return matrix[:, :1] * 100 + matrix[:, 1:2]

    scorers = [remote(backend, after_s=0), ramp("v1", inputs=old, model=Codes()), ramp("v3")]
    step = Score(served(*scorers, clock=Clock(), shadows=("v3",)))
    backend.away = True
    [effects] = step.process([block({"x": 4, "city": "Rome"}, {"x": 5, "city": "Oslo"}, {"x": 6, "city": "Bari"})])
    assert answers(effects) == [("v1", "fallback", 104), ("v1", "fallback", 5), ("v1", "fallback", 206)]
    assert [head.version for head, _ in seen(effects)] == ["v1", "v3"]


@pytest.mark.parametrize(
    ("task", "classes", "scores", "expected"),
    [
        ("regression", (), (2.5,), (2.5, "2.5", None)),
        ("binary", ("no", "yes"), (0.5,), (0.5, "yes", None)),
        ("multiclass", ("a", "b", "c"), (0.25, 0.5, 0.25), (0.5, "b", {"a": 0.25, "b": 0.5, "c": 0.25})),
    ],
)
def test_a_fixed_score_goes_by_a_version_of_its_own(task, classes, scores, expected):
    class Away(Remote):
        def score(self, matrix):
            super().score(matrix)
            return np.full((len(matrix), max(1, len(classes)) if task == "multiclass" else 1), 0.25)

    backend = Away()
    following = served(remote(backend, scores, after_s=0, task=task, outputs=Outputs(classes=classes)), clock=Clock())
    backend.away = True
    [effects] = Score(following).process([rows(0, 20)])
    assert {(p.version, p.route) for p in said(effects)} == {("default", "fallback")}
    assert [(p.score, p.prediction, p.scores) for p in said(effects)] == [expected] * 20
    assert {head.version for head, _ in seen(effects)} == {"default"}
    assert "a fixed score answers in its place" in following.fallbacks()


def test_rows_are_counted_by_who_was_away_and_who_answered():
    labels = {"model": "ramp", "version": "v2", "fallback": "v1"}
    before = REGISTRY.get_sample_value("driftline_rows_by_fallback_total", labels) or 0
    backend = Remote()
    step = Score(served(remote(backend, after_s=0), ramp("v1"), clock=Clock()))
    backend.away = True
    step.process([rows(0, 5)])
    assert REGISTRY.get_sample_value("driftline_rows_by_fallback_total", labels) - before == 5


def test_where_the_fallback_is_away_too_rows_wait():
    backend, other = Remote(), Remote()
    step = Score(served(remote(backend, after_s=0), ramp("v1", model=other), clock=Clock()))
    backend.away = other.away = True
    with pytest.raises(Unavailable):
        step.process([rows(0, 1)])
    other.away = False
    [effects] = step.process([rows(0, 1)])
    assert answers(effects) == [("v1", "fallback", 10)]


def test_after_an_end_over_the_remote_no_row_is_answered_twice(tmp_path):
    """A predecessor ended over record 2: it comes alone, and meanwhile the remote goes away."""
    calm = itertools.count()

    class Going(Remote):
        def score(self, matrix):
            if self.away and next(calm) > 0:
                raise Unavailable("gone")
            return Ramp.score(self, matrix)

    backend = Going()
    with pytest.raises(Fatal), InHand(tmp_path / "hand").holding("ramp", "v2", [("requests", 0, 2, 2, 0)]):
        raise Fatal("it ends")
    step = Score(served(remote(backend, after_s=0), ramp("v1"), clock=Clock()), in_hand=InHand(tmp_path / "hand"))
    backend.away = True
    [effects] = step.process([rows(0, 4)])
    assert answers(effects) == [
        ("v2", "champion", 10), ("v2", "champion", 11), ("v1", "fallback", 2), ("v2", "champion", 13),
    ]  # fmt: skip


def test_a_worker_that_starts_during_the_outage_tries_the_version_out_once_it_is_there():
    clock, backend = Clock(), Remote(away=True)
    with pytest.raises(Unavailable):
        remote(backend)
    tried = []
    version = remote(backend, may_be_away=True, prove=tried.append)
    step = Score(served(version, ramp("v1"), clock=clock))
    with pytest.raises(Unavailable):
        step.process([rows(0, 1)])
    clock.now_ms = 30_000
    [effects] = step.process([rows(0, 1)])
    assert answers(effects) == [("v1", "fallback", 0)] and tried == []
    backend.away = False
    [effects] = step.process([rows(0, 1)])
    assert answers(effects) == [("v2", "champion", 10)] and tried == [version]


def test_who_comes_back_as_another_model_is_still_away():
    def refuse(scorer):
        raise ArtefactError("it does not reproduce 3 of 4 examples")

    backend = Remote(away=True)
    following = served(remote(backend, after_s=0, may_be_away=True, prove=refuse), ramp("v1"), clock=Clock())
    backend.away = False
    [effects] = Score(following).process([rows(0, 1)])
    assert answers(effects) == [("v1", "fallback", 0)]
    assert "does not reproduce 3 of 4" in following.fallbacks()


def test_a_route_to_a_version_that_is_away_is_followed_once_it_is_there_as_before():
    backend = Remote(away=True)
    following = served(remote(backend, may_be_away=True), ramp("v1"), clock=Clock(), champion="v1")
    route = Route(model="ramp", epoch=2, ts=0, champion="v2")
    with pytest.raises(Unavailable):
        following.follow(route)
    assert following.models()["ramp"].route.champion == "v1"


def test_an_outage_goes_on_over_a_change_of_the_route():
    clock, backend = Clock(), Remote()
    following = served(remote(backend), ramp("v1"), ramp("v3"), clock=clock)
    step = Score(following)
    backend.away = True
    with pytest.raises(Unavailable):
        step.process([rows(0, 1)])
    following.follow(Route(model="ramp", epoch=2, ts=0, champion="v2", shadows=("v3",)))
    clock.now_ms = 30_000
    [effects] = step.process([rows(0, 1)])
    assert answers(effects) == [("v1", "fallback", 0)]


def test_in_a_replay_rows_are_answered_by_who_answered_them_then():
    backend = Remote()
    by_fallback = {1, 3}

    def recorded(model, version, block, rows):
        theirs = np.isin(np.asarray(block.offsets)[rows.at], list(by_fallback))
        return np.where(theirs == (version == "v1"), 16, 0)

    following = served(remote(backend, after_s=0), ramp("v1"), clock=Clock())
    [effects] = Score(following, recorded=recorded).process([rows(0, 5)])
    assert answers(effects) == [
        ("v1", "fallback", n) if n in by_fallback else ("v2", "champion", n + 10) for n in range(5)
    ]
    backend.away = True  # now: that says nothing of then
    with pytest.raises(Unavailable):
        Score(following, recorded=recorded).process([rows(0, 5)])


@pytest.mark.parametrize(
    ("other", "route", "why"),
    [
        ({"inputs": (*INPUTS, Feature("z", required=True))}, {}, "requires 'z', which v2 does not"),
        ({"task": "binary"}, {}, r"answers otherwise, binary \['0', '1'\] with positive '1' instead of regression"),
        ({}, {"shadows": ("v1",)}, "would be its shadow: what it answers would be counted twice"),
    ],
)
def test_a_fallback_that_does_not_fit_is_refused_when_the_route_is_followed(other, route, why):
    with pytest.raises((ArtefactError, RouteError), match=why):
        served(remote(Remote()), ramp("v1", **other), clock=Clock(), **route)


def test_there_are_no_chains():
    with pytest.raises(ArtefactError, match="there are no chains"):
        served(remote(Remote()), remote(Remote(), "v0", version="v1"), clock=Clock())


_TOML = 'protocol = "http"\naddresses = ["http://127.0.0.1:1"]\ndeadline_ms = 200\n'
_HTTP = '[http]\nrows = "$.data.rows"\nscores = ["$.rows[*].p.value"]\n'


def written(folder, fallback, version="v2", task="regression", classes=()):
    """A package in a folder whose `remote.toml` has these lines."""
    folder.mkdir()
    (folder / "model.toml").write_text(
        f'name = "churn"\nversion = "{version}"\ntask = "{task}"\nartefact = "remote.toml"\n'
        + (f"outputs = {{ classes = {list(classes)} }}\n" if classes else "")
        + '[limits]\nbatch_rows = 16\n[[inputs]]\nname = "x"\n[[inputs]]\nname = "city"\nkind = "categorical"\n'
        'categories = ["Rome", "Oslo"]\n[[inputs]]\nname = "vip"\nkind = "boolean"\n'
    )
    (folder / "remote.toml").write_text(f"{_TOML}{fallback}\n{_HTTP}")
    return folder


REFUSED = [
    ("regression", "fallback = 3", "fallback 3: name a version of the model"),
    ("regression", 'fallback = "v2"', "it is this version itself, which is away then"),
    ("regression", 'fallback = "../v1"', "use 1 to 100 letters"),
    ("regression", 'fallback = { default = "high" }', "fallback.default: Expected `float`, got `str`"),
    ("regression", "fallback = { default = nan }", "a regression's value is a finite number"),
    ("regression", "fallback = { defualt = 1 }", r"unknown key fallback.defualt; did you mean default\?"),
    ("regression", 'fallback = { default = 1, class = "a" }', "only a multiclass model needs it"),
    ("binary", "fallback = { default = 1.5 }", "the score is the probability of '1'; write a number from 0 to 1"),
    ("multiclass", "fallback = { default = 0.9 }", 'fallback.class is missing.*default = 0.9, class = "red"'),
    ("multiclass", 'fallback = { default = 0.9, class = "rde" }', r"fallback.class 'rde'.*did you mean red\?"),
    ("multiclass", 'fallback = { default = 0.3, class = "red" }', "lies above 0.333, one of 3 classes"),
    ("regression", "fallback_after_s = 3", "it says when a fallback answers, and there is none"),
    ("regression", 'fallback = "v1"\nfallback_after_s = -1', "fallback_after_s: Expected `float` >= 0"),
    ("regression", 'fallback = "v1"', "fallback 'v1': churn v1 is not in .*add that version first"),
]


@pytest.mark.parametrize(("task", "lines", "why"), REFUSED)
def test_what_is_no_fallback_is_refused_when_the_package_is_added(task, lines, why, tmp_path):
    registry = Registry(tmp_path / "registry")
    registry.add(written(tmp_path / "other", "", version="v0"))
    classes = ["red", "green", "blue"] if task == "multiclass" else ()
    with pytest.raises((ArtefactError, RegistryError), match=why) as caught:
        registry.add(written(tmp_path / "package", lines, task=task, classes=classes))
    assert str(caught.value).startswith(f"{tmp_path}/package")


def test_a_remote_with_a_fallback_is_no_fallback_and_the_version_of_fixed_scores_is_nobodys(tmp_path):
    registry = Registry(tmp_path / "registry")
    registry.add(written(tmp_path / "v1", "fallback = { default = 1 }", version="v1"))
    with pytest.raises(ArtefactError, match="there are no chains"):
        registry.add(written(tmp_path / "v2", 'fallback = "v1"'))
    with pytest.raises(RegistryError, match="version 'default' is what predictions with a fixed score have"):
        registry.add(written(tmp_path / "default", "", version="default"))


def test_what_stands_in_the_file_is_read(tmp_path):
    folder = written(tmp_path / "v2", 'fallback = "v1"\nfallback_after_s = 5')
    assert read_fallback(read_package(folder), folder) == Fallback("v1", (), 5)
    (folder / "remote.toml").write_text(f'{_TOML}fallback = "v1"\n{_HTTP}')
    assert read_fallback(read_package(folder), folder) == Fallback("v1", (), 30)
    (folder / "remote.toml").write_text(_TOML + _HTTP)
    assert read_fallback(read_package(folder), folder) is None
    assert read_remote(folder / "remote.toml").fallback is None


def test_a_server_goes_and_comes_back_and_its_fallback_answers_meanwhile(tmp_path):
    """From the registry, over loopback: v2 is a server, v1 another one, and the breaker tries v2 by itself."""
    registry = Registry(tmp_path / "registry")
    clock = Clock()
    requests = [block({"x": 1, "city": "Oslo", "vip": True, "model": "churn"})]

    with servers.http_server(servers.plain) as other:
        with servers.http_server(servers.plain) as address:
            port = int(address.rpartition(":")[2])
            for version, where, lines in (("v1", other, ""), ("v2", address, 'fallback = "v1"\nfallback_after_s = 5')):
                folder = written(tmp_path / version, lines, version=version)
                file = folder / "remote.toml"
                file.write_text(file.read_text().replace("http://127.0.0.1:1", where))
                registry.add(folder)
            following = Serving(lambda name, v: registry.load(name, v, trust_code=True, may_be_away=True), ticks=clock)
            following.follow(Route(model="churn", epoch=1, ts=0, champion="v2"))
            step = Score(following)
            assert [(p.version, p.route) for p in said(step.process(requests)[0])] == [("v2", "champion")]
        with pytest.raises(Unavailable):
            step.process(requests)
        clock.now_ms = 5_000
        assert [(p.version, p.route, p.score) for p in said(step.process(requests)[0])] == [("v1", "fallback", 112)]
        started = Serving(lambda name, v: registry.load(name, v, trust_code=True, may_be_away=True), ticks=clock)
        started.follow(Route(model="churn", epoch=1, ts=0, champion="v2"))  # as a worker that starts now does
        with servers.http_server(servers.plain, port):
            again = _until(lambda: said(step.process(requests)[0]), lambda found: found[0].version == "v2")
            assert [(p.version, p.route, p.score) for p in again] == [("v2", "champion", 112)]
            assert [p.version for p in said(Score(started).process(requests)[0])] == ["v2"]


def _until(ask, is_there, tries=200):
    for _ in range(tries):
        answer = ask()
        if is_there(answer):
            return answer
        time.sleep(0.05)
    raise AssertionError(answer)
