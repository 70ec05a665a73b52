"""Every way in, for librdkafka and for Faust's client alike; and every refusal names its cause and its setting."""

import asyncio

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from streams.kafka.access import Need
from streams.kafka.admin import LetInError, create_foreign, partition_counts
from streams.kafka.cluster import Cluster
from streams.kafka.credentials import CredentialsError, faust_credentials
from streams.kafka.oauth import TokenError
from streams.kafka.refused import why_refused
from streams.kafka.tls import TlsError

pytestmark = pytest.mark.timeout(120)


def topics_by_librdkafka(cluster: Cluster) -> set[str]:
    return set(cluster.admin(log_level=2).list_topics(timeout=15).topics)


def topics_by_faust(cluster: Cluster) -> set[str]:
    """As Faust's own client is told to come in: it is given the same credentials."""

    async def ask() -> set[str]:
        told = credentials_to_aiokafka_auth(faust_credentials(cluster.opened()))
        client = AIOKafkaConsumer(bootstrap_servers=cluster.bootstrap, **told)
        await client.start()
        try:
            return await client.topics()
        finally:
            await client.stop()

    return asyncio.run(asyncio.wait_for(ask(), 30))


@pytest.fixture
def topic(secure_kafka, topic_prefix):
    """A topic that everybody may describe."""
    name = f"{topic_prefix}seen"
    create_foreign(secure_kafka.ruler(), [name], 1, 1)
    secure_kafka.allow("*", [Need("topic", f"@{name}", ("describe",))])
    yield name
    secure_kafka.forbid("*")


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_scram(secure_kafka, user, topic, mechanism):
    cluster = secure_kafka.scram(user, mechanism)
    assert topic in topics_by_librdkafka(cluster)
    assert topic in topics_by_faust(cluster)


def test_plain_over_tls(secure_kafka, topic):
    cluster = secure_kafka.scram("plain", "PLAIN")
    assert topic in topics_by_librdkafka(cluster)
    assert topic in topics_by_faust(cluster)


def test_tokens(secure_kafka, topic):
    cluster = secure_kafka.oauth("somebody")
    assert topic in topics_by_librdkafka(cluster)
    assert topic in topics_by_faust(cluster)


@pytest.mark.parametrize("password", [None, "of the key"], ids=["open", "encrypted"])
def test_a_client_certificate(secure_kafka, topic, password):
    certificate = secure_kafka.authority.sign(f"client-{password is None}", password=password)
    cluster = secure_kafka.mtls(certificate)
    if password:
        cluster = msgspec.structs.replace(cluster, options=cluster.options | {"ssl.key.password": password})
    assert topic in topics_by_librdkafka(cluster)
    assert topic in topics_by_faust(cluster)


def changed(cluster: Cluster, **options: str) -> Cluster:
    return msgspec.structs.replace(
        cluster, options=cluster.options | {name.replace("__", "."): value for name, value in options.items()}
    )


@pytest.fixture
def refusals(secure_kafka, user, tmp_path):
    """Clusters by what is wrong with the options, each with the words of its refusal."""
    kafka, good = secure_kafka, secure_kafka.scram(user)
    address = kafka.address
    late = kafka.authority.sign("late", valid=False)
    foreign = kafka.stranger.sign("foreign")
    key, other = kafka.authority.sign("one"), kafka.authority.sign("other")
    locked = kafka.authority.sign("locked", password="right")
    return {
        "another authority": (
            changed(good, ssl__ca__location=str(kafka.stranger.ca)),
            (address("SASL"), "its certificate is not accepted", "ssl.ca.location"),
        ),
        "no file of authorities": (changed(good, ssl__ca__location="/nowhere.pem"), ("ssl.ca.location: /nowhere.pem",)),
        "expired": (kafka.scram(user, listener="EXPIRED"), (address("EXPIRED"), "has expired", "renew the broker's")),
        "another host": (
            kafka.scram(user, listener="NAMED"),
            (address("NAMED"), "kafka.bootstrap a name that the certificate has, not 127.0.0.1"),
        ),
        "wrong password": (
            changed(good, sasl__password="wrong"),
            (address("SASL"), f"user '{user}'", "invalid credentials", "sasl.password"),
        ),
        "unknown mechanism": (
            changed(kafka.scram("plain", "PLAIN"), sasl__password="wrong"),
            ("user 'plain'", "sasl.password"),
        ),
        "plain words to TLS": (
            Cluster(bootstrap=address("SASL")),
            (address("SASL"), "speaks TLS", 'security.protocol = "SASL_SSL"'),
        ),
        "TLS to a plain listener": (
            msgspec.structs.replace(good, bootstrap=address("PLAINTEXT")),
            (address("PLAINTEXT"), "ends the TLS handshake", 'security.protocol = "PLAINTEXT"'),
        ),
        "TLS without a user": (changed(good, security__protocol="SSL"), ("takes the TLS handshake and then closes",)),
        "no certificate": (kafka.mtls(None), ("wants a client certificate", "ssl.certificate.location")),
        "an expired certificate": (
            kafka.mtls(late),
            ("does not accept the client certificate", str(late[0]), "-dates"),
        ),
        "a foreign certificate": (kafka.mtls(foreign), ("does not accept the client certificate", str(foreign[0]))),
        "another's key": (
            kafka.mtls((key[0], other[1])),
            (f"ssl.key.location: {other[1]} is not the key of {key[0]}",),
        ),
        "a locked key": (kafka.mtls(locked), (f"ssl.key.location: {locked[1]}", "ssl.key.password")),
        "a misspelt option": (changed(good, sasl__pasword="x"), ("sasl.pasword", "mend the option")),
        "a reference to nothing": (changed(good, sasl__password="env:NOT_SET_AT_ALL"), ("env:NOT_SET_AT_ALL",)),
        "a wrong client secret": (
            kafka.oauth("somebody", sasl__oauthbearer__client__secret="wrong"),
            ("user 'somebody'", "sasl.oauthbearer."),
        ),
    }  # fmt: skip


def test_each_refusal_names_what_where_and_the_setting(secure_kafka, refusals):
    for name, (cluster, words) in refusals.items():
        refusal = why_refused(cluster)
        assert refusal is not None, name
        assert [word for word in words if word not in str(refusal)] == [], (name, str(refusal))
        assert "a password of the tests" not in str(refusal), name


def test_commands_and_roles_hear_the_same(secure_kafka, user):
    wrong = changed(secure_kafka.scram(user), sasl__password="wrong")
    with pytest.raises(LetInError, match=r"invalid credentials.*sasl\.password"):
        partition_counts(wrong, 3.0)


def test_a_cluster_that_lets_us_in_or_is_away_is_no_refusal(secure_kafka, user):
    assert why_refused(secure_kafka.scram(user)) is None
    assert why_refused(msgspec.structs.replace(secure_kafka.scram(user), bootstrap="127.0.0.1:1"), 0.5) is None


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"security.protocol": "SASL_SSL"}, CredentialsError, "GSSAPI is not known here"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"}, CredentialsError, "sasl.username and sasl.pass"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"}, TokenError, 'method = "oidc"'),
        ({"security.protocol": "SSL", "ssl.keystore.location": "x.p12"}, TlsError, "set ssl.certificate.location"),
    ],
    ids=["mechanism", "user", "token", "keystore"],
)
def test_options_that_fausts_client_cannot_follow_are_refused(options, error, words):
    with pytest.raises(error, match=words):
        faust_credentials(options)
