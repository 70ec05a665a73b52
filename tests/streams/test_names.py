"""Names are refused where they enter: in a record, in settings, in a package, on the way to a path."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.settings import SettingsError, load
from inference import PackageError, Registry, read_package
from streams.names import NameRefused, check_name, check_registry, is_name
from streams.wire.records import Route, RouteCopy
from streams.wire.route_book import RouteBook

#: Each is a path, an option, a control sequence or a link somewhere.
HOSTILE = (
    "",
    ".",
    "..",
    "../evil",
    "../../../evil/v1",
    "/etc",
    "a/b",
    "a\\b",
    "-rf",
    "a b",
    "a\nb",
    "a\x00",
    "\x1b[2J",
    "a\n",
    "%2e%2e",
    "a?b",
    "a#b",
    "a*",
    "é",
    "a" * 101,
    "s3://bucket",
    "a::b",
)


@pytest.mark.parametrize("kind", ["model", "version"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused_wherever_it_enters(kind, name, tmp_path):
    assert not is_name(kind, name)
    with pytest.raises(NameRefused, match=f"^{kind} "):
        check_name(kind, name)

    good = {"model": "m", "version": "v1"}
    named = good | {kind: name}
    record = {"model": named["model"], "epoch": 1, "ts": 0, "champion": named["version"]}
    with pytest.raises(msgspec.ValidationError, match=f"{kind} "):
        msgspec.json.decode(msgspec.json.encode(record), type=Route)
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode({"type": "route", "model": "m", "route": record}), type=RouteCopy)

    registry = Registry(tmp_path / "registry")
    for ask in (registry.folder, registry.package, registry.load, registry.remove):
        with pytest.raises(NameRefused):
            ask(named["model"], named["version"])

    text = f"name = {_toml(named['model'])}\nversion = {_toml(named['version'])}\n"
    (tmp_path / "model.toml").write_text(f'{text}task = "binary"\nartefact = "m.pt2"\n[[inputs]]\nname = "x"\n')
    with pytest.raises(PackageError):
        read_package(tmp_path)
    watched = {"topic": "answers", "score": "p", "id": "@key"} | named
    if watched["model"]:  # without one the settings ask for it
        with pytest.raises(SettingsError, match=f"watch_topics.*{kind}"):
            load({"watch_topics": [watched]})


def _toml(text):
    return '"' + "".join(f"\\u{ord(c):04X}" if ord(c) < 32 or c in '"\\' else c for c in text) + '"'


@pytest.mark.parametrize("version", ["../v1", "", "v1\n"])
@pytest.mark.parametrize("where", ["canary", "shadows"])
def test_every_version_of_a_route_is_checked(where, version):
    more = {"canary": {version: 0.1}} if where == "canary" else {"shadows": (version,)}
    with pytest.raises(NameRefused, match="version"):
        Route(model="m", epoch=1, ts=0, champion="v1", **more)
    good = {"model": "m", "epoch": 1, "ts": 0, "champion": "v1", "canary": {"v2": 0.1}, "shadows": ["v3"]}
    book = RouteBook()
    assert book.apply(msgspec.json.encode(good)).champion == "v1"


@pytest.mark.parametrize("topic", ["", ".", "..", "a/b", "a b", "a\n", "x" * 250])
def test_a_topic_that_kafka_would_refuse_is_refused_with_the_settings(topic):
    with pytest.raises(SettingsError, match=r"watch_topics\.0\.topic"):
        load({"watch_topics": [{"topic": topic, "model": "m", "score": "p"}]})


@pytest.mark.parametrize("prefix", ["a/", "a b", "\n", "x" * 151, ".."])
def test_a_prefix_that_kafka_would_refuse_is_refused_with_the_settings(prefix):
    with pytest.raises(SettingsError, match=r"kafka\.prefix"):
        load({"kafka.prefix": prefix})


@pytest.mark.parametrize(
    "root",
    ["", "simplecache::s3://b/m", "zip://x::file:///y", "reference://x", "github://o:r@main/", "a\nb", "data://,x"],
)
def test_a_registry_that_keeps_no_packages_is_refused(root, tmp_path):
    with pytest.raises(NameRefused, match="registry"):
        check_registry(root)
    with pytest.raises(NameRefused):
        Registry(root)
    with pytest.raises(SettingsError, match="registry"):
        load({"registry": root})


@pytest.mark.parametrize(
    "root", ["models", "/srv/models", "C:/models", "s3://b/m", "gs://b", "memory://x", "file:///m"]
)
def test_an_ordinary_registry_is_taken(root):
    assert load({"registry": root}).registry == root


@given(st.sampled_from(["model", "version", "incident", "topic", "prefix", "column", "class"]), st.text())
def test_what_passes_holds_no_character_that_ends_a_line_or_moves_a_cursor(kind, name):
    if is_name(kind, name):
        assert name.isprintable() or kind in ("column", "class")
        assert len(name.splitlines()) <= 1 and not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in name)
        assert len(name) <= 256


@pytest.mark.parametrize("name", ["Total\nAmount", "\x1b]0;x", "", "x" * 257, "a\u2028b"])
def test_a_column_or_a_class_that_is_no_name_is_refused_in_a_package(name, tmp_path):
    for column, label in ((name, "a"), ("x", name)):
        (tmp_path / "model.toml").write_text(
            f'name = "m"\nversion = "v1"\ntask = "multiclass"\nartefact = "m.pt2"\n'
            f'[outputs]\nclasses = [{_toml(label)}, "b"]\n[[inputs]]\nname = {_toml(column)}\n'
        )
        with pytest.raises(PackageError):
            read_package(tmp_path)
