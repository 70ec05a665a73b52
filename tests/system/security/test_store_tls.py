"""A ClickHouse that speaks TLS and asks for a password: what stands before the embedded store here is a proxy, as one
might before the page; the driver is the one that asks any server."""

import socket
import ssl
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from certificates import Authority

from drift.store import Store, StoreError, StoreUnavailable
from drift.store.passwords import password_file, read_password
from drift.store.server import StoreProcess
from driftline import settings
from driftline.doctor.store import reachable
from driftline.roles import parts

pytestmark = pytest.mark.timeout(120)

HOSTS = {"good": ("localhost", "127.0.0.1"), "late": ("127.0.0.1",), "named": ("elsewhere.example",)}


class TlsProxy:
    """Takes TLS with one certificate and hands on what is in it."""

    def __init__(self, certificate: tuple[Path, Path], to: tuple[str, int]) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate)
        self._to = to
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "TlsProxy":
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                plain, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with (
            suppress(OSError),
            plain,
            self._context.wrap_socket(plain, server_side=True) as inside,
            socket.create_connection(self._to) as outside,
        ):
            threading.Thread(target=self._hand_on, args=(outside, inside), daemon=True).start()
            self._hand_on(inside, outside)

    def _hand_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while read := source.recv(65_536):
                sink.sendall(read)


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Ports by certificate, of one store with a password; and its authorities."""
    folder = tmp_path_factory.mktemp("store-tls")
    ours = Authority(folder / "ours")
    Authority(folder / "others", "another authority")
    with ExitStack() as stack:
        store = stack.enter_context(StoreProcess(folder / "store"))
        ports = {
            name: stack.enter_context(
                TlsProxy(ours.sign(name, hosts, valid=name != "late"), (store.address[0], store.address[1]))
            ).port
            for name, hosts in HOSTS.items()
        }
        yield folder, ports | {"plain": store.address[1]}


@pytest.fixture
def load(servers, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    folder, ports = servers

    def load(port: str, ca: str = "ours", password: str = "", scheme: str = "clickhouses") -> settings.Settings:
        monkeypatch.setenv("TEST_STORE_PASSWORD", password or read_password(password_file(folder / "store")))
        return settings.load(
            {
                "clickhouse.url": f"{scheme}://default@127.0.0.1:{ports[port]}/default",
                "clickhouse.password": "env:TEST_STORE_PASSWORD",
                "clickhouse.ca": str(folder / ca / "ca.pem"),
            }
        )

    return load


def test_rows_come_over_tls(load):
    with_tls = parts.store_settings(load("good"))
    assert with_tls.secure and with_tls.verify
    store = Store.connect(with_tls)
    assert store.rows("SELECT 1 + 1") == [(2,)]
    store.close()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"port": "good", "ca": "others"}, ("its certificate is not accepted", "clickhouse.ca must name")),
        ({"port": "good", "ca": "nobody"}, ("clickhouse.ca:", "nobody/ca.pem is not there")),
        ({"port": "late"}, ("has expired", "renew it")),
        ({"port": "named"}, ("a name that the certificate has, not 127.0.0.1",)),
        ({"port": "plain"}, ("does not speak TLS there", "clickhouse://")),
        ({"port": "good", "scheme": "clickhouse"}, ("does not answer", "clickhouses:// where it speaks TLS")),
    ],
    ids=["authority", "no-file", "expired", "host", "server-is-plain", "client-is-plain"],
)
def test_a_refused_certificate_is_named_with_its_setting(load, given, words):
    loaded = load(**given)
    with pytest.raises(StoreUnavailable) as refused:
        Store.connect(parts.store_settings(loaded))
    assert [word for word in words if word not in str(refused.value)] == [], str(refused.value)
    (found,) = reachable(loaded)
    assert found.state == "fail"
    assert words[-1] in found.said


def test_a_wrong_password_is_refused_and_not_shown(load):
    loaded = load("good", password="not this one")
    with pytest.raises(StoreError) as refused:
        Store.connect(parts.store_settings(loaded))
    assert "not this one" not in str(refused.value)
    (found,) = reachable(loaded)
    assert (found.state, "clickhouse.password" in found.fix) == ("fail", True)
