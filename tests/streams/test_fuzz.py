"""Messages of every format, whole, maimed and made up: each is answered, or refused, once; a million of them:
`python -m benchmarks.fuzz`."""

import pytest

from benchmarks.fuzz.in_process import score
from benchmarks.fuzz.messages import message

ROWS = 20_000


@pytest.mark.system  # 20,000 messages
@pytest.mark.parametrize("seed", [1])
def test_every_message_has_one_outcome(seed):
    accounts, kinds = score(ROWS, seed)
    assert accounts.broken + accounts.wrong(seed) == []
    assert accounts.answered() == ROWS
    assert len(kinds) > 15
    assert accounts.predictions.sum() > ROWS / 3
    assert set(accounts.reasons) == {
        "undecodable", "wrong_type", "unknown_model", "missing_field", "no_known_feature", "empty",
        "impossible_timestamp", "unknown_schema", "model_failed", "impossible_id", "oversize",
    }  # fmt: skip


def test_a_message_is_the_same_whenever_it_is_made():
    assert [message(3, n) for n in range(300)] == [message(3, n) for n in range(300)]
