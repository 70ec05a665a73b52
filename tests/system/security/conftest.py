"""One Kafka with TLS, users and ACLs for the tests of this folder."""

import base64
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from driftline.broker import BrokerSettings, EmbeddedBroker
from driftline.broker.ports import free_port
from driftline.broker.record import prepare
from streams.kafka.access import Need
from streams.kafka.cluster import Cluster

sys.path.insert(0, str(Path(__file__).parents[1] / "path"))
sys.path.insert(0, str(Path(__file__).parent))  # the modules beside this file

from certificates import Authority
from role_processes import roles

__all__ = ["roles"]

PASSWORD = "a password of the tests"
_MODULES = "org.apache.kafka.common.security"
_PROTOCOLS = {"PLAINTEXT": "PLAINTEXT", "SASL": "SASL_SSL", "MTLS": "SSL", "EXPIRED": "SASL_SSL", "NAMED": "SASL_SSL"}
_KINDS = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
    "cluster": ResourceType.BROKER,
}


class TokenIssuer:
    """An OAuth server: signs tokens for whoever has the secret."""

    def __init__(self, folder: Path) -> None:
        self._key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        numbers = self._key.public_key().public_numbers()
        self.keys = folder / "jwks.json"
        key = {"kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256", "n": _number(numbers.n), "e": _number(numbers.e)}
        self.keys.write_text(json.dumps({"keys": [key]}))
        issuer = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                user, _, secret = base64.b64decode(self.headers["authorization"].split()[1]).decode().partition(":")
                body = json.dumps({"access_token": issuer.token(user), "expires_in": 300}).encode()
                self.send_response(200 if secret == PASSWORD else 401)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body) if secret == PASSWORD else 0))
                self.end_headers()
                self.wfile.write(body if secret == PASSWORD else b"")

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"

    def token(self, user: str) -> str:
        now = int(time.time())
        claims = {"sub": user, "iat": now, "exp": now + 300, "iss": "tests", "aud": "kafka"}
        parts = [json.dumps(part).encode() for part in ({"alg": "RS256", "typ": "JWT", "kid": "1"}, claims)]
        signed = b".".join(map(_base64, parts))
        return b".".join([signed, _base64(self._key.sign(signed, padding.PKCS1v15(), hashes.SHA256()))]).decode()

    def __enter__(self) -> "TokenIssuer":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _base64(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def _number(value: int) -> str:
    return _base64(value.to_bytes((value.bit_length() + 7) // 8, "big")).decode()


class SecureKafka:
    """A broker with a listener of each kind, on which ``ANONYMOUS`` of the plain one rules.

    Attributes
    ----------
    ports
        By listener: ``PLAINTEXT``, ``SASL``, ``MTLS``, and two whose certificates have ``EXPIRED`` or are ``NAMED`` for
        another host.
    """

    def __init__(self, folder: Path, issuer: TokenIssuer) -> None:
        self.folder = folder
        self.authority = Authority(folder / "authority")
        self.stranger = Authority(folder / "stranger", "another authority")
        self.ports = dict(zip(_PROTOCOLS, _free_ports(len(_PROTOCOLS)), strict=True))
        self.issuer = issuer
        listed = ",".join(f"{name}://127.0.0.1:{port}" for name, port in self.ports.items())
        controller = _free_ports(1, set(self.ports.values()))[0]
        protocols = {**_PROTOCOLS, "CONTROLLER": "PLAINTEXT"}
        flags = (
            f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://{issuer.keys}",
            "-Dorg.slf4j.simpleLogger.log.kafka.authorizer.logger=debug",  # see `decisions`
        )
        overrides = {
            "listeners": f"{listed},CONTROLLER://127.0.0.1:{controller}",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listener.security.protocol.map": ",".join(f"{name}:{how}" for name, how in protocols.items()),
            "inter.broker.listener.name": "PLAINTEXT",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.ca),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self._store("broker", "localhost", "127.0.0.1"),
            "listener.name.mtls.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:^CN=(.*?)$/$1/,DEFAULT",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            **self._keystore("expired", self._store("expired", "127.0.0.1", valid=False)),
            **self._keystore("named", self._store("named", "elsewhere.example")),
            **self._logins("sasl", issuer),
            **self._logins("expired", issuer),
            **self._logins("named", issuer),
        }
        settings = BrokerSettings(heap_mb_max=512, overrides=overrides, java_flags=flags)
        self.broker = EmbeddedBroker(folder / "kafka", self.ports["PLAINTEXT"], settings)

    def address(self, listener: str) -> str:
        return f"127.0.0.1:{self.ports[listener]}"

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.broker.bootstrap, "log_level": 2})

    def ruler(self, prefix: str = "") -> Cluster:
        """The cluster as its ruler sees it."""
        return Cluster(bootstrap=self.broker.bootstrap, prefix=prefix)

    def scram(self, user: str, mechanism: str = "SCRAM-SHA-256", listener: str = "SASL", **more: str) -> Cluster:
        """The cluster as a user sees it who comes with a password."""
        options = {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.authority.ca),
            "sasl.mechanism": mechanism,
            "sasl.username": user,
            "sasl.password": PASSWORD,
        } | {name.replace("__", "."): value for name, value in more.items()}
        return Cluster(bootstrap=self.address(listener), options=options)

    def oauth(self, user: str, **more: str) -> Cluster:
        """The cluster as a client of the issuer sees it."""
        options = {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.authority.ca),
            "sasl.mechanism": "OAUTHBEARER",
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.token.endpoint.url": self.issuer.url,
            "sasl.oauthbearer.client.id": user,
            "sasl.oauthbearer.client.secret": PASSWORD,
        } | {name.replace("__", "."): value for name, value in more.items()}
        return Cluster(bootstrap=self.address("SASL"), options=options)

    def mtls(self, certificate: tuple[Path, Path] | None) -> Cluster:
        """The cluster as the holder of a certificate sees it."""
        options = {"security.protocol": "SSL", "ssl.ca.location": str(self.authority.ca)}
        if certificate:
            options |= {"ssl.certificate.location": str(certificate[0]), "ssl.key.location": str(certificate[1])}
        return Cluster(bootstrap=self.address("MTLS"), options=options)

    def add_user(self, user: str) -> None:
        """Let somebody in by SCRAM; whoever comes by PLAIN, a token or a certificate needs no entry."""
        admin = self.admin()
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            info = ScramCredentialInfo(mechanism, 4_096)
            entry = UserScramCredentialUpsertion(user, info, PASSWORD.encode())
            for made in admin.alter_user_scram_credentials([entry]).values():
                made.result(30)

    def allow(self, user: str, needs: Any, prefix: str = "") -> None:
        """Add the ACLs of some needs."""
        admin = self.admin()
        bindings = dict.fromkeys(one for need in needs for one in self._bindings(user, need, prefix))
        for made in admin.create_acls(list(bindings)).values():
            made.result(30)

    def forbid(self, user: str) -> None:
        """Take all ACLs of a user."""
        admin = self.admin()
        everything = AclBindingFilter(
            ResourceType.ANY, None, ResourcePatternType.ANY, f"User:{user}", None, AclOperation.ANY,
            AclPermissionType.ANY,
        )  # fmt: skip
        for gone in admin.delete_acls([everything]).values():
            gone.result(30)

    def take_back(self, user: str, need: Need, prefix: str = "") -> None:
        """Remove the ACLs of one need."""
        filters = [
            AclBindingFilter(
                one.restype, one.name, one.resource_pattern_type, one.principal, one.host, one.operation,
                one.permission_type,
            )
            for one in self._bindings(user, need, prefix)
        ]  # fmt: skip
        admin = self.admin()
        for gone in admin.delete_acls(filters).values():
            gone.result(30)

    def decisions(self, user: str) -> set[tuple[str, str, str, str]]:
        """What the broker has decided of a user: (``Allowed`` or ``Denied``, operation, kind, name)."""
        text = (self.broker.data_dir / "broker.log").read_text(errors="replace")
        line = rf"Principal = User:{user} is (\w+) operation = (\w+) from .*? on resource = (\w+):LITERAL:(\S+)"
        return set(re.findall(line, text))

    def _bindings(self, user: str, need: Need, prefix: str) -> list[AclBinding]:
        pattern = ResourcePatternType.PREFIXED if need.prefixed else ResourcePatternType.LITERAL
        name = need.resource(self.ruler(prefix))
        kind, principal, allow = _KINDS[need.kind], f"User:{user}", AclPermissionType.ALLOW
        operations = [AclOperation[one.upper()] for one in need.operations]
        return [AclBinding(kind, name, pattern, principal, "*", one, allow) for one in operations]

    def _store(self, name: str, *hosts: str, valid: bool = True) -> str:
        certificate, key = self.authority.sign(name, hosts, valid=valid)
        whole = self.folder / f"{name}.pem"
        whole.write_bytes(key.read_bytes() + certificate.read_bytes() + self.authority.ca.read_bytes())
        return str(whole)

    def _keystore(self, listener: str, store: str) -> dict[str, str]:
        before = f"listener.name.{listener}.ssl.keystore"
        return {f"{before}.type": "PEM", f"{before}.location": store}

    def _logins(self, listener: str, issuer: TokenIssuer) -> dict[str, str]:
        before = f"listener.name.{listener}"
        oauth = f"{before}.oauthbearer.sasl"
        plain = f'{_MODULES}.plain.PlainLoginModule required user_plain="{PASSWORD}";'
        return {
            f"{before}.plain.sasl.jaas.config": plain,
            f"{before}.scram-sha-256.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
            f"{before}.scram-sha-512.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
            f"{oauth}.jaas.config": f"{_MODULES}.oauthbearer.OAuthBearerLoginModule required;",
            f"{oauth}.server.callback.handler.class": f"{_MODULES}.oauthbearer.OAuthBearerValidatorCallbackHandler",
            f"{before}.sasl.oauthbearer.jwks.endpoint.url": f"file://{issuer.keys}",
            f"{before}.sasl.oauthbearer.expected.audience": "kafka",
        }


def _free_ports(count: int, but: set[int] = frozenset()) -> list[int]:  # type: ignore[assignment]
    found: set[int] = set()
    while len(found) < count:
        found |= {free_port()} - but
    return sorted(found)


@pytest.fixture(scope="session")
def secure_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """One for the session (under xdist: for the worker)."""
    prepare()
    folder = tmp_path_factory.mktemp("secure-kafka")
    with TokenIssuer(folder) as issuer:
        kafka = SecureKafka(folder, issuer)
        with kafka.broker:
            yield kafka


@pytest.fixture
def user(secure_kafka: SecureKafka) -> Iterator[str]:
    """A user of the secure broker whom nobody else has, who may do nothing."""
    name = f"user-{uuid4().hex[:8]}"
    secure_kafka.add_user(name)
    yield name
    secure_kafka.forbid(name)


@pytest.fixture
def environ() -> Callable[..., Mapping[str, str]]:
    """Makes the settings of a process that speaks to a cluster, with the secrets by reference."""
    return _environ


def _environ(cluster: Cluster, **more: str) -> Mapping[str, str]:
    secrets = {"sasl.password": "TEST_SASL_PASSWORD", "sasl.oauthbearer.client.secret": "TEST_CLIENT_SECRET"}
    options = {name: f"env:{secrets[name]}" if name in secrets else value for name, value in cluster.options.items()}
    named = {"KAFKA__BOOTSTRAP": cluster.bootstrap, "KAFKA__PREFIX": cluster.prefix, **more}
    opened = {secrets[name]: value for name, value in cluster.options.items() if name in secrets}
    settings = {f"DRIFTLINE_{name}": value for name, value in named.items()}
    return settings | opened | {"DRIFTLINE_KAFKA__OPTIONS": json.dumps(options)}
