"""Settings: lengths of time as people write them, every key checked and documented, no secret and no repr printed."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import tomlkit
from pydantic_core import PydanticUndefined
from typer.testing import CliRunner

from driftline import settings
from driftline.cli import app
from driftline.cli.settings import shown
from driftline.durations import duration_ms, duration_text, is_duration
from driftline.roles import parts
from driftline.settings import SettingsError
from driftline.settings_schema import WatchTopic
from driftline.watch_settings import KEYS, RANGES, WatchError, watch_of
from streams.wire.records import ColumnWatch, Watch

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = tomllib.loads((DOCS / "driftline.example.toml").read_text())


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1d", 86_400_000),
        ("1 D", 86_400_000),
        ("24h", 86_400_000),
        ("15min", 900_000),
        ("15m", 900_000),
        ("15 minutes", 900_000),
        ("500ms", 500),
        ("0.5s", 500),
        ("2w", 1_209_600_000),
        ("1d 12h", 129_600_000),
        ("1h30min", 5_400_000),
        ("60000", 60_000),
        ("-1", -1),
        (60_000, 60_000),
        (60_000.0, 60_000),
    ],
)
def test_a_length_of_time_is_read_as_people_write_it(text, ms):
    assert duration_ms(text) == ms


@pytest.mark.parametrize(
    "text",
    ["", "d", "1 fortnight", "1dd", "1d2", "1M", "-5min", "1,5h", "0.3ms", "1.5", "nan", "P1D", True, None, [1], {}],
)
def test_what_is_no_length_of_time_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r'"15min"'):
        duration_ms(text)


@pytest.mark.parametrize("ms", [0, 1, 999, 1_000, 60_000, 90_001, 86_399_999, 31_536_000_000])
def test_a_length_that_is_written_is_read_again(ms):
    assert duration_ms(duration_text(ms)) == ms


DURATIONS = [key for key, _ in settings.describe() if is_duration(key)]


@pytest.mark.parametrize("key", DURATIONS)
def test_every_length_of_time_takes_text_and_refuses_nonsense_by_its_key(key, tmp_path, monkeypatch):
    section, _, name = key.rpartition(".")
    monkeypatch.chdir(tmp_path)
    Path("driftline.toml").write_text(f'[{section}]\n{name} = "2min"\n')
    value = {k: v for k, v, _ in settings.origins()}[key]
    assert value == 120_000
    monkeypatch.setenv(f"DRIFTLINE_{section}__{name}".upper(), "180s")
    assert {k: v for k, v, _ in settings.origins()}[key] == 180_000
    monkeypatch.delenv(f"DRIFTLINE_{section}__{name}".upper())
    Path("driftline.toml").write_text(f'[{section}]\n{name} = "soon"\n')
    with pytest.raises(SettingsError, match=rf"{name}.*'soon' is no length of time.*15min"):
        settings.load()


def test_the_section_watch_is_checked_when_settings_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused = {
        'window = "1d"': "did you mean watch.window_ms?",
        'window_ms = "90s"': "[watch] window_ms is 90000; make it a multiple of 60000",
        "window_ms = 0": "[watch] window_ms is 0",
        'window_ms = "1 dya"': "[watch] window_ms: '1 dya' is no length of time",
        "tolerances = {kz = 1}": "tolerances are ks, w1",
        'tolerances = {ks = "small"}': "[watch] tolerances: ks is 'small'; make it a number",
        "tolerances = 5": "[watch] tolerances: 5 is no table",
        "budget = {feature = 0.5}": "sum to 1",
        "columns = {age = 0.1}": "[watch] columns.age: Expected `object`, got `float`; its keys are tolerance, exclude",
        "columns = {age = {tolerence = 0.1}}": "[watch] columns.age: Object contains unknown field `tolerence`",
        "columns = {age = {tolerance = 2}}": "columns.age.tolerance is 2.0; make it 1e-09 or more, and at most 1",
        "label_wait = 5": "did you mean watch.label_wait_ms_max?",
    }
    for text, said in refused.items():
        Path("driftline.toml").write_text(f"[watch]\n{text}\n")
        with pytest.raises(SettingsError, match=re.escape(said)):
            settings.load()
        done = CliRunner().invoke(app, ["doctor", "--json"])
        assert said in next(one["said"] for one in json.loads(done.stdout) if one["name"] == "settings"), text
    Path("driftline.toml").write_text(
        '[watch]\nwindow_ms = "1d"\nlabel_wait_ms_max = "7d"\n[watch.tolerances]\nks = 0.1\n'
    )
    assert parts.watch(settings.load()) == Watch(
        window_ms=86_400_000, label_wait_ms_max=604_800_000, tolerances={"ks": 0.1}
    )
    told = {key: (value, origin) for key, value, origin in settings.origins()}
    assert told["watch.window_ms"] == (86_400_000, "driftline.toml")
    assert told["watch.lateness_ms_max"] == (60_000, "default")
    assert told["watch.tolerances"][0] == {**Watch().tolerances, "ks": 0.1}


def test_the_section_watch_has_a_key_for_every_field_that_a_route_carries():
    assert set(KEYS) == set(Watch.__struct_fields__)


def test_watch_in_the_environment_is_read_like_the_file(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRIFTLINE_WATCH__WINDOW_MS", "15min")
    monkeypatch.setenv("DRIFTLINE_WATCH__TOLERANCES", '{"ks": 0.2}')
    assert parts.watch(settings.load()) == Watch(window_ms=900_000, tolerances={"ks": 0.2})
    monkeypatch.setenv("DRIFTLINE_WATCH__COLUMNS", '{"AGE": {"tolerance": 0.1}}')
    monkeypatch.setenv("DRIFTLINE_WATCH__EXCLUDE", '["debug_*"]')
    told = parts.watch(settings.load())
    assert (told.columns, told.exclude) == ({"AGE": ColumnWatch(tolerance=0.1)}, ("debug_*",))
    monkeypatch.setenv("DRIFTLINE_WATCH__WINDOWS", "1d")
    with pytest.raises(
        SettingsError, match=r"environment: watch\.windows is no setting; did you mean watch\.window_ms"
    ):
        settings.load()


def test_what_the_roles_read_is_what_was_said(tmp_path):
    given = settings.load({"watch.window_ms": "1d", "monitor.idle_after_ms": "20s", "sink.wait_ms_max": 700})
    (tmp_path / "resolved.toml").write_text(settings.dump(given))
    again = settings.load(file=tmp_path / "resolved.toml")
    assert parts.watch(again) == parts.watch(given)
    assert (again.monitor, again.sink) == (given.monitor, given.sink)


def test_what_is_shown_is_a_settings_file_without_its_secrets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("driftline.toml").write_text(
        '[clickhouse]\nurl = "clickhouse://me:hunter2@host/db"\npassword = "hunter2"\n'
        '[kafka.options]\n"sasl.password" = "hunter2"\n"ssl.key.password" = "env:KEY"\n'
        '[monitor]\nnotify = ["slack://hunter2/hunter2"]\n'
        '[[watch_topics]]\ntopic = "answers"\nmodel = "m"\nscore = "p"\n'
    )
    for more in ([], ["--json"]):
        said = CliRunner().invoke(app, ["settings", "show", *more]).stdout
        assert "hunter2" not in said and "env:KEY" in said
    said = CliRunner().invoke(app, ["settings", "show"]).stdout
    assert not re.search(r"\b(None|True|False|PosixPath|datetime)\b|\{'|\['", said), said
    assert re.search(r'^watch_topics +\[\{topic = "answers", model = "m", score = "p"\}\]', said, re.MULTILINE)
    assert re.search(r'^monitor\.idle_after_ms +"10s" +default$', said, re.MULTILINE)


# --- the pages --------------------------------------------------------------------------------------


def documented():
    """Key -> (default, meaning) of docs/configuration.md."""
    section, rows = "", {}
    for line in (DOCS / "configuration.md").read_text().splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ").strip("[]") if "[" in line else ""
        elif line.startswith("| `"):
            name, _, default, _, meaning = (cell.strip() for cell in line.strip("|").split(" | "))
            rows[f"{section}.{name.split('`')[1]}".removeprefix(".")] = (default.strip("`"), meaning)
    return rows


def examples():
    """Key and value of each setting of the example file, those of watched topics left out."""
    for name, value in EXAMPLE.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{key}", inner) for key, inner in value.items())
        elif name != "watch_topics":
            yield name, value


def test_the_page_has_every_key_with_its_meaning_and_default():
    defaults = {key: shown(key, value) for key, value, _ in settings.origins()}
    wanted = {key: (defaults[key], meaning) for key, meaning in settings.describe() if key != "watch_topics"}
    for name, field in WatchTopic.model_fields.items():
        default = "needed" if field.default is PydanticUndefined else shown("", field.default)
        wanted[f"watch_topics.{name}"] = (default, field.description)
    assert documented() == wanted


def test_the_example_file_sets_every_key_to_another_value_than_its_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    defaults = {key: value for key, value, _ in settings.origins()}
    given = {key: value for key, value, origin in settings.origins(None, DOCS / "driftline.example.toml")}
    assert [key for key in defaults if given[key] == defaults[key]] == []
    topics = EXAMPLE["watch_topics"]
    assert {key for topic in topics for key in topic} == set(WatchTopic.model_fields)
    assert settings.load(file=DOCS / "driftline.example.toml").watch_topics[0].columns == {"age": "customer.years"}


@pytest.mark.parametrize(("key", "value"), list(examples()), ids=lambda given: given if isinstance(given, str) else "")
def test_every_example_is_accepted_by_itself(key, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    section, _, name = key.rpartition(".")
    Path("driftline.toml").write_text(tomlkit.dumps({section: {name: value}} if section else {name: value}))
    assert (key, "driftline.toml") in [(k, origin) for k, _, origin in settings.origins()]


@pytest.mark.parametrize(
    ("key", "inside", "outside"),
    [
        ("false_alarm_every", [1.01, 1e12], [1, 1.1e12]),
        ("window_ms", ["1min", "366d"], ["90s", "0", "367d"]),
        ("timezone", ["Asia/Tokyo"], ["Tokyo"]),
        ("window_rows_min", [0], [-1]),
        ("lateness_ms_max", [0, "366d"], [-1, "367d"]),
        ("label_wait_ms_max", [0, "3660d"], [-1, "3661d"]),
        ("tolerances", [{"ks": 1e-9}, {"ks": 1e12}], [{"ks": 0}, {"ks": 1.1e12}]),
        ("columns", [{"a": {"tolerance": 1e-9}}, {"a": {"tolerance": 1}}], [{"a": {"tolerance": 1.1}}]),
        ("budget", [{"feature": 1.0}, {"feature": 0, "performance": 1}], [{"feature": 0.9}]),
        ("page_from", ["watch", "warning", "critical"], ["info"]),
    ],
)
def test_the_ranges_of_watch_end_where_the_page_says(key, inside, outside):
    for value in inside:
        watch_of({key: value})
    for value in outside:
        with pytest.raises(WatchError):
            watch_of({key: value})
    assert set(RANGES) == set(KEYS)


PLANTED = {
    "kafka.options": {"sasl.password": "PLANTED-a", "ssl.key.pem": "PLANTED-b", "sasl.jaas.config": "x PLANTED-c;"},
    "clickhouse.password": "PLANTED-d",
    "schema_registry.password": "PLANTED-e",
    "monitor.notify": ["slack://PLANTED-f/PLANTED-g"],
    "monitor.chat": ["json://me:PLANTED-h@host/"],
    "registry": "https://me:PLANTED-i@host/models?access_token=PLANTED-j",
}


def test_no_secret_is_written_printed_or_shown_and_the_roles_have_them_all(tmp_path, monkeypatch):
    given = settings.load(PLANTED)
    text = settings.dump(given)
    assert "PLANTED" not in text + repr(given) + str(given.kafka) + f"{given.monitor!r}"
    (tmp_path / "resolved.toml").write_text(text)
    for name, value in settings.environ(tmp_path / "resolved.toml", given).items():
        if name.startswith("DRIFTLINE_"):
            monkeypatch.setenv(name, value)
    assert settings.load() == given.model_copy(update={"data_dir": given.data_dir.absolute()})


def test_what_is_a_reference_is_written_and_is_no_variable(tmp_path):
    references = {
        "kafka.options": {"sasl.password": "env:KEY", "sasl.username": "me"},
        "clickhouse.password": "file:/run/secrets/ch",
        "monitor.notify": ["env:PAGER"],
    }
    given = settings.load(references)
    text = settings.dump(given)
    assert all(name in text for name in ("env:KEY", "file:/run/secrets/ch", "env:PAGER"))
    variables = settings.environ(tmp_path, given)
    assert [name for name in variables if name.startswith("DRIFTLINE_")] == ["DRIFTLINE_SETTINGS"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kafka.options", {"sasl.password": ["PLANTED"]}),
        ("kafka.options", {"ssl.key.password": {"a": "PLANTED"}}),
        ("monitor.notify", "slack://PLANTED/b"),
        ("clickhouse.password", ["PLANTED"]),
        ("schema_registry.url", "http://me:PLANTED@host"),
        ("schema_registry.url", "https://PLANTED@host"),
    ],
)
def test_a_refused_setting_does_not_show_its_secret(key, value):
    with pytest.raises(SettingsError) as refused:
        settings.load({key: value})
    assert "PLANTED" not in str(refused.value) and key.partition(".")[0] in str(refused.value)


@pytest.mark.parametrize("empty", ["", "  "])
def test_a_data_folder_without_a_name_is_refused(empty, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("driftline.toml").write_text(f'data_dir = "{empty}"\n')
    with pytest.raises(SettingsError, match=r"data_dir: .*names no folder"):
        settings.load()
