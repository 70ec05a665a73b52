"""The table of least ACLs: what stands in it is enough, and what is missing of it is named with its command."""

import time

import msgspec
import pytest

from driftline import settings
from driftline.doctor import kafka as doctor
from driftline.roles import access
from streams.kafka.access import AccessError, Need, command, lacking, lacks
from streams.kafka.admin import Layout, TopicError, await_topics, create
from streams.kafka.topic_ids import TopicChanges
from streams.runtime.transactions import Aborted, TransactionalProducer
from streams.wire.effects import Publish

pytestmark = pytest.mark.timeout(180)


def eventually(true):
    """Assert what comes true soon: a broker follows its controller's ACLs a moment later."""
    until = time.monotonic() + 20
    while not (found := true()) and time.monotonic() < until:
        time.sleep(0.02)
    assert found


def known_by_name(found):
    return {(need.kind, need.name, one) for need in found for one in need.operations}


@pytest.fixture
def ours(secure_kafka, topic_prefix):
    """The topics, under a prefix; returns that."""
    create(secure_kafka.ruler(topic_prefix), Layout(requests=1))
    return topic_prefix


@pytest.fixture
def cluster(secure_kafka, user, ours):
    return msgspec.structs.replace(secure_kafka.scram(user), prefix=ours)


@pytest.mark.parametrize("role", access.ROLES)
def test_a_role_is_told_exactly_what_it_lacks(secure_kafka, user, cluster, ours, role):
    needs = [need for need in access.ROLES[role] if need.kind != "transactional-id"]
    eventually(lambda: known_by_name(lacking(cluster, needs)) == known_by_name(needs))
    secure_kafka.allow(user, needs, ours)
    eventually(lambda: lacking(cluster, needs) == [])
    for need in needs:
        secure_kafka.take_back(user, need, ours)
        # Whoever may write may still describe.
        eventually(lambda need=need: lacking(cluster, needs) == [need])
        (said,) = [f"{lacks(cluster, one)}; {command(cluster, one)}" for one in lacking(cluster, needs)]
        assert said.startswith(f"User:{user} lacks {need.operations[0].upper()}")
        assert said.count(need.resource(cluster)) == 2
        assert ("--resource-pattern-type prefixed" in said) == need.prefixed
        secure_kafka.allow(user, [need], ours)


def test_a_role_that_lacks_something_refuses_at_once_though_its_topics_look_missing(secure_kafka, user, cluster):
    needs = (Need("topic", "requests", ("read",)), Need("topic", "predictions", ("write",)))
    with pytest.raises(AccessError) as refused:
        await_topics(cluster, ["requests", "predictions"], needs, deadline_s=60)
    first, second = str(refused.value).splitlines()
    assert f"User:{user} lacks READ on topic {cluster.topic('requests')}; kafka-acls.sh" in first
    assert f"--allow-principal User:{user} --operation Write --topic {cluster.topic('predictions')}" in second


def test_a_transactional_id_is_refused_with_its_command(secure_kafka, user, cluster, ours):
    with pytest.raises(AccessError, match=rf"WRITE on transactional id {ours}score-0; .* --transactional-id "):
        TransactionalProducer(cluster, "score-0")
    secure_kafka.allow(user, [Need("transactional-id", "score-", ("write",), prefixed=True)], ours)
    eventually(lambda: _opens(cluster))


def _opens(cluster):
    try:
        TransactionalProducer(cluster, "score-0").close()
    except AccessError:
        return False
    return True


def test_a_settlement_that_may_not_be_written_names_the_acl(secure_kafka, user, cluster, ours):
    secure_kafka.allow(user, [Need("transactional-id", "score-", ("write",), prefixed=True)], ours)
    eventually(lambda: _opens(cluster))
    producer = TransactionalProducer(cluster, "score-0")
    with pytest.raises(Aborted, match=f"User:{user} lacks WRITE on topic {ours}predictions: kafka-acls.sh"):
        producer.commit([], [Publish("predictions", b"{}")], None)
    producer.close()


def test_a_topic_that_may_not_be_read_is_told_while_a_role_runs(secure_kafka, user, cluster, ours):
    name = cluster.topic("requests")
    changes = TopicChanges(cluster, [name])
    changes.any_remade(wait=True)
    assert (changes.closed, changes.missing) == ((name,), ())
    secure_kafka.allow(user, [Need("topic", "requests", ("read",))], ours)
    eventually(lambda: not changes.any_remade(wait=True) and changes.closed == ())


def test_topics_that_may_not_be_made_are_refused_with_the_command(secure_kafka, user, topic_prefix):
    bare = msgspec.structs.replace(secure_kafka.scram(user), prefix=topic_prefix)
    with pytest.raises(TopicError, match=f"--allow-principal User:{user} --operation Create --topic {topic_prefix}"):
        create(bare, Layout(requests=1))


@pytest.fixture
def loaded(secure_kafka, cluster, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return settings.load(
        {"kafka.bootstrap": cluster.bootstrap, "kafka.prefix": cluster.prefix, "kafka.options": cluster.options}
    )


def test_the_doctor_names_what_each_role_lacks_and_whom_this_user_may_be(secure_kafka, user, cluster, ours, loaded):
    found = list(doctor.access(loaded))
    assert {one.state for one in found} == {"fail"}
    assert {one.said.partition(":")[0] for one in found} == set(access.ROLES)
    assert all(one.fix.startswith("kafka-acls.sh --bootstrap-server") for one in found)
    secure_kafka.allow(user, access.ROLES["worker"], ours)
    eventually(lambda: lacking(cluster, access.ROLES["worker"]) == [])
    states = {(one.state, one.said.partition(":")[0]) for one in doctor.access(loaded)}
    assert states == {("ok", "this user may do what these need"), ("note", "monitor"), ("note", "store")}


def test_the_doctor_says_why_a_cluster_does_not_let_us_in(secure_kafka, cluster, loaded):
    wrong = loaded.model_copy(
        update={"kafka": loaded.kafka.model_copy(update={"options": cluster.options | {"sasl.password": "wrong"}})}
    )
    (found,) = doctor.cluster(wrong)
    assert (found.state, found.fix) == ("fail", "see [kafka.options] sasl.username, sasl.password and sasl.mechanism")
    assert "invalid credentials" in found.said
