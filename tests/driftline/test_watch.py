"""How a model is watched is checked once, wherever it comes from."""

import msgspec
import pytest

from driftline.roles import parts
from driftline.settings import Settings, SettingsError
from streams.wire.records import ColumnWatch, Route, Watch

REFUSED = [
    ({"false_alarm_every": 1.0}, "false_alarm_every is 1.0; make it more than 1 window"),
    ({"false_alarm_every": float("inf")}, "finite"),
    ({"window_ms": 90_000}, "window_ms is 90000; make it a multiple of 60000"),
    ({"window_ms": 0}, "window_ms"),
    ({"window_rows_min": -1}, "window_rows_min is -1; make it 0 or more"),
    ({"lateness_ms_max": -1}, "lateness_ms_max is -1"),
    ({"label_wait_ms_max": -1}, "label_wait_ms_max is -1"),
    ({"tolerances": {"ks": 0.0}}, "tolerances.ks is 0.0; make it more than 0"),
    ({"tolerances": {"performance": 1e308}}, "tolerances.performance is 1e+308; make it more than 0 and finite"),
    ({"tolerances": {"ks": 1e-320}}, "from 1e-09 to 1e+12"),
    ({"columns": {"x": ColumnWatch(tolerance=1e-320)}}, "columns.x.tolerance"),
    ({"false_alarm_every": 1e300}, "at most 1e12"),
    ({"tolerances": {"kolmogorov": 0.1}}, "tolerances.kolmogorov is 0.1; tolerances are ks, w1"),
    ({"budget": {"feature": 0.9}}, "sum to 1, not 0.9"),
    ({"budget": {"feature": 1.5, "quality": -0.5}}, "budget.quality is -0.5"),
    ({"budget": {"features": 1.0}}, "budget.features is 1.0; budget kinds are performance"),
]


@pytest.mark.parametrize(("given", "said"), REFUSED)
def test_what_cannot_hold_is_refused_with_key_value_and_remedy(given, said):
    with pytest.raises(ValueError) as made:
        Watch(**given)
    assert said in str(made.value)
    with pytest.raises(ValueError):
        msgspec.structs.replace(Watch(), **given)
    if float("inf") not in given.values():
        route = msgspec.to_builtins(Route(model="m", epoch=1, ts=0, champion="v1"))
        route["watch"] |= given
        with pytest.raises(msgspec.ValidationError) as read:
            msgspec.json.decode(msgspec.json.encode(route), type=Route)
        assert said in str(read.value)
    with pytest.raises(SettingsError) as set_so:
        parts.watch(Settings(watch=given))
    assert said in str(set_so.value) and "[watch]" in str(set_so.value)


def test_a_key_that_is_none_is_refused_with_those_that_are():
    with pytest.raises(SettingsError, match=r"`window`.*its keys are false_alarm_every, window_ms"):
        parts.watch(Settings(watch={"window": 1}))


def test_a_choice_that_is_none_is_refused_with_those_that_are():
    with pytest.raises(SettingsError, match=r"\[watch\] page_from is 'warn'; make it watch or warning or critical"):
        parts.watch(Settings(watch={"page_from": "warn"}))


@pytest.mark.parametrize("column", [{"tolerence": 0.1}, {"tolerance": "much"}, 0.1])
def test_what_cannot_hold_of_one_column_names_the_column_and_its_keys(column):
    with pytest.raises(SettingsError, match=r"\[watch\] columns\.the age: .*; its keys are tolerance, exclude"):
        parts.watch(Settings(watch={"columns": {"x": {"tolerance": 0.1}, "the age": column}}))


def test_text_from_the_environment_is_read_as_numbers_and_what_is_left_out_has_its_default():
    read = parts.watch(Settings(watch={"window_ms": "120000", "tolerances": {"ks": "0.1"}}))
    assert read == Watch(window_ms=120_000, tolerances={"ks": 0.1})
