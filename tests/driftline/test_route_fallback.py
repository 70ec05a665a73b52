"""Routes and versions with a fallback: what is needed is not removed, and nothing would be counted twice."""

from types import SimpleNamespace

import pytest

from driftline.commands.model_routes import RouteAdmin
from inference import Registry, RegistryError, RouteError
from streams.wire.records import Route, Watch
from tests.inference.test_fallback import written


@pytest.fixture
def admin(tmp_path, monkeypatch):
    """Routes of churn, without a broker: v2 answers, and v1 while it is away."""
    registry = Registry(tmp_path / "registry")
    for version, lines in (("v0", ""), ("v1", ""), ("v2", 'fallback = "v1"')):
        registry.add(written(tmp_path / version, lines, version=version))
    admin = RouteAdmin(None, registry, Watch())
    book = SimpleNamespace(routes={"churn": Route(model="churn", epoch=1, ts=0, champion="v2")}, history=[])
    monkeypatch.setattr(admin, "book", lambda: book)
    monkeypatch.setattr(admin, "_announce", lambda change: change(book))
    return admin


def test_a_fallback_is_not_removed_while_the_version_that_has_it_answers(admin):
    with pytest.raises(RouteError, match="churn v1 is the fallback of v2, which answers requests; run `driftline"):
        admin.remove("churn", "v1")
    assert admin.remove("churn", "v0").version == "v0"


def test_a_fallback_is_no_shadow_beside_who_has_it(admin):
    with pytest.raises(RouteError, match="churn v1 is the fallback of v2, and would be its shadow"):
        admin.route("churn", shadows=["v1"])
    assert admin.route("churn", "v1", shadows=["v2"]).shadows == ("v2",)
    assert admin.route("churn", "v2", shadows=["v0"]).champion == "v2"


def test_a_route_to_a_version_whose_fallback_was_removed_is_refused(admin, tmp_path):
    Registry(tmp_path / "registry").remove("churn", "v1")
    with pytest.raises(RegistryError, match=r"fallback 'v1': churn v1 was removed.*add that version first"):
        admin.promote("churn", "v2")
