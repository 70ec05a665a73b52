"""A record over which the model ends the process, without an exception: it ends a few processes, and no more."""

import json
import os
import subprocess
import sys

import pytest

from inference import Fatal
from inference.scoring.in_hand import ENDS_MAX, InHand
from streams.wire.block import Block

pytestmark = pytest.mark.system  # minutes: `make test-all`

#: One process of a worker: scores the blocks, and prints what each record led to. A row of 13 ends it, or hangs.
WORKER = """
import json, os, sys, threading
from pathlib import Path
import numpy as np
from inference import InHand, Limits, ModelPackage, Outputs, Score, Scorer, Serving, Shapes
from inference.serving.hung_calls import watch_calls
from streams.wire.block import Block
from streams.formats.json import JsonDecoder
from streams.wire.records import Route
from streams.wire.schema import Feature

class Model:
    shapes = Shapes((64,))

    def __init__(self, version): self.version = version
    def score(self, matrix):
        if self.version == "deadly" and (matrix[:, 0] == 13).any():
            os._exit(139)
        if self.version == "hangs" and (matrix[:, 0] == 13).any():
            threading.Event().wait()
        return matrix[:, :1]

def load(name, version):
    package = ModelPackage(name=name, version=version, task="regression", artefact="m.py:M",
                           inputs=(Feature("x"),), limits=Limits(batch_rows=64, call_s_max=0.1), outputs=Outputs())
    return Scorer(package, Model(version))

file, values, route, first = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4])
serving = Serving(load)
serving.follow(Route(model="m", epoch=1, ts=0, **route))
step = Score(serving, JsonDecoder, in_hand=InHand(file))
watch_calls(lambda: step.answering, lambda why: (print(why, file=sys.stderr), os._exit(139)))
blocks = [Block.of("requests", p, [b'{"x": %d}' % x for x in own], first=first, time=5) for p, own in enumerate(values)]
for block, effects in zip(blocks, step.process(blocks)):
    for message in effects.publish:
        if message.topic in ("predictions", "dead-letters"):
            print(json.dumps([block.partition, message.topic, message.value.decode(), dict(
                (k, v.decode("utf-8", "replace")) for k, v in message.headers or ())]))
"""
DEADLY = {"champion": "deadly"}


def run(file, values, route=DEADLY, first=0):
    """Processes until one lives; returns how many ended, and what the last one said."""
    for ended in range(20):
        done = subprocess.run(
            [sys.executable, "-c", WORKER, str(file), json.dumps(values), json.dumps(route), str(first)],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        if done.returncode == 0:
            return ended, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
        assert done.returncode == 139, done.stderr
    raise AssertionError("it ends for ever")


def answered(said):
    return sorted((p, json.loads(value)["score"]) for p, topic, value, _ in said if topic == "predictions")


@pytest.mark.parametrize("values", [[[1, 13, 2], [3]], [[*range(20, 120), 13, *range(120, 200)], [*range(200, 300)]]])
@pytest.mark.parametrize("version", ["deadly", "hangs"])
def test_what_ends_the_process_is_a_dead_letter_and_the_others_are_answered_once(values, version, tmp_path):
    file, route = tmp_path / "worker-0.in-hand", {"champion": version}
    ended, said = run(file, values, route)
    assert answered(said) == [(p, float(x)) for p, own in enumerate(values) for x in own if x != 13]
    (letter,) = [one for one in said if one[1] == "dead-letters"]
    assert letter[0] == 0 and json.loads(letter[2]) == {"x": 13}
    assert "model_failed" in letter[3].values() and any("3 processes ended" in text for text in letter[3].values())
    assert ENDS_MAX <= ended <= ENDS_MAX + 3
    # A process that ends for another reason before that was committed knows it still.
    assert run(file, values, route)[0] == 0
    # And once it was, nothing is remembered.
    assert run(file, [[5], [6]], route, 1_000) == (0, run(file, [[5], [6]], route, 1_000)[1])
    assert file.read_bytes() == b"" and file.stat().st_mode & 0o777 == 0o600


def test_a_shadow_that_ends_the_process_costs_nobody_an_answer(tmp_path):
    ended, said = run(tmp_path / "h", [[1, 13, 2]], {"champion": "calm", "shadows": ["deadly"]})
    assert answered(said) == [(0, 1.0), (0, 2.0), (0, 13.0)] and len(said) == 3 and ended >= ENDS_MAX


def test_a_record_that_was_killed_with_its_process_is_not_blamed(tmp_path):
    file = tmp_path / "h"
    for _ in range(ENDS_MAX - 1):
        child = os.fork()
        if child == 0:
            with InHand(file).holding("m", "calm", [("requests", 0, 1, 1, 5)]):
                os._exit(9)
        os.waitpid(child, 0)
    ended, said = run(file, [[1, 13, 2]], {"champion": "calm"})
    assert ended == 0 and len(answered(said)) == 3
    assert file.read_bytes() == b""  # it has passed alone: that is forgotten


def test_what_only_a_new_process_can_mend_is_remembered_and_no_other_error(tmp_path):
    """A row that ends a CUDA context raises `Fatal`, and would end every process that reads it again."""
    file, record = tmp_path / "h", ("requests", 0, 1, 1, 5)
    for error, ends in ((ValueError, 0), (Fatal, 1), (Fatal, 2)):
        with pytest.raises(error), InHand(file).holding("m", "v1", [record]):
            raise error("device-side assert triggered")
        assert InHand(file).ends("m", "v1", "requests/0/1", 5) == ends


@pytest.mark.parametrize("content", [b"", b"\x00", b'{"hand":', b'{"hand":{"model":1}}', b"[" * 10_000, b'{"ends":3}'])
def test_a_file_that_is_none_is_no_reason_to_stop(content, tmp_path):
    file = tmp_path / "h"
    file.write_bytes(content)
    hand = InHand(file)
    with hand.holding("m", "v1", [("requests", 0, 1, 2, 5)]):
        assert not hand.suspects("m", "v1")
        assert b'"m"' in file.read_bytes()
    assert file.read_bytes() == b""


def test_where_nothing_can_be_written_nothing_is_remembered(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for file in (tmp_path / "link", tmp_path, None):
        with InHand(file).holding("m", "v1", [("requests", 0, 1, 2, 5)]):
            pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_topic_that_was_made_anew_is_not_blamed_for_the_old_one(tmp_path):
    run(tmp_path / "h", [[13]])
    hand = InHand(tmp_path / "h")
    place = Block.of("requests", 0, [b""]).place(0)
    assert hand.ends("m", "deadly", place, 5) == ENDS_MAX and hand.ends("m", "deadly", place, 6) == 0
