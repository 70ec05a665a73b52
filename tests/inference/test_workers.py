"""A process that asks inference workers instead of loading models: same scores, shapes and faults as if it had."""

import time

import numpy as np
import pytest
from doubling import DEADLINE_S, Doubling, package_of
from oip_servers import Servers

from inference import Failure, OutOfMemory, Patience, Registry, Scorer, Unavailable, write_package
from inference.backends.workers import Workers, ask_workers
from inference.oip.listening import Listening


@pytest.fixture(scope="module")
def servers():
    servers = Servers()
    servers.load()
    yield servers
    servers.stop()


def asking(servers, **more):
    package = package_of(**more)
    backend = ask_workers(package, Workers((f"grpc://127.0.0.1:{servers.grpc_port}",)))
    return Scorer(package, backend, Patience(), sleep=lambda s: None)


def test_scores_and_shapes_are_those_of_a_model_that_is_loaded_here(servers):
    matrix = np.random.default_rng(5).normal(size=(150, 1)).astype(np.float32)
    there = asking(servers)(matrix)
    here = Scorer(package_of(), Doubling((16, 64)))(matrix)
    assert there.values.tobytes() == here.values.tobytes()
    assert there.buckets.tolist() == here.buckets.tolist() == [64] * 150
    again = asking(servers)(matrix, buckets=np.full(150, 16, np.int32))
    assert again.buckets.tolist() == [16] * 150 and again.values.tobytes() == here.values.tobytes()


def test_it_is_scored_there_at_the_shape_that_is_recorded_here(servers):
    scorer, model = asking(servers), servers.models["m", "v1"]
    model.forget()
    scorer(np.ones((80, 1), np.float32))
    assert [len(seen) for seen in model.seen] == [64, 16]


def test_rows_at_fault_are_set_aside_and_the_others_scored(servers):
    scores = asking(servers)(np.array([[1], [13], [2]], np.float32))
    assert scores.failures == {1: Failure("model gave NaN")}
    assert scores.values[[0, 2], 0].tolist() == [2, 4]


def test_a_batch_that_was_cut_there_is_cut_here_so_that_shapes_are_true(servers):
    scorer, model = asking(servers), servers.models["m", "v1"]
    pass_on = model.score
    model.score = lambda matrix: pass_on(matrix) if len(matrix) <= 16 else _no_memory()
    try:
        scores = scorer(np.ones((64, 1), np.float32))
    finally:
        model.score = pass_on
    assert scores.buckets.tolist() == [16] * 64 and (scores.values == 2).all() and not scores.failures


def _no_memory():
    raise OutOfMemory("64 rows")


def test_a_version_that_is_not_served_is_waited_for(servers):
    with pytest.raises(Unavailable, match="'m v9' is not served here"):
        asking(servers, version="v9")


def test_a_worker_that_is_gone_blames_no_row_and_is_found_again():
    first = Servers()
    first.load()
    scorer = asking(first)
    first.stop()
    with pytest.raises(Unavailable, match=r"m v1"):
        scorer(np.ones((1, 1), np.float32))
    second = Servers(Listening("127.0.0.1", first.grpc_port, 0))
    second.load()
    try:
        until = time.monotonic() + DEADLINE_S
        while (scores := _scored(scorer)) is None:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert scores.values.tolist() == [[2]] and not scores.failures
    finally:
        second.stop()


def _scored(scorer):
    try:
        return scorer(np.ones((1, 1), np.float32))
    except Unavailable:
        return None


def test_the_registry_loads_no_file_where_workers_are_named(servers, tmp_path):
    folder = write_package(package_of(), tmp_path / "package").parent
    (folder / "m.py").write_text("raise SystemExit('this code runs elsewhere')")
    registry = Registry(tmp_path / "registry")
    registry.add(folder)
    scorer = registry.load("m", "v1", workers=Workers((f"grpc://127.0.0.1:{servers.grpc_port}",)))
    assert scorer(np.full((1, 1), 4, np.float32)).values.tolist() == [[8]]
