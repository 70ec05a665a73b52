"""A taken port is said with its setting, before anything is started."""

import socket
from pathlib import Path

import pytest

from driftline.sections import Kafka
from driftline.settings import Settings
from driftline.tree import RoleError
from driftline.up import System


def test_a_taken_port_is_refused_by_the_name_of_its_setting_or_replaced(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        settings = Settings(data_dir=tmp_path, kafka=Kafka(port=taken))
        with pytest.raises(RoleError, match=f"port {taken} is taken.*kafka.port"):
            System(settings)
        assert System(settings, any_port=True).kafka_port != taken


def test_the_roles_read_the_settings_as_they_were_resolved(tmp_path: Path) -> None:
    system = System(Settings(data_dir=tmp_path, registry="here"), any_port=True)
    text = system.settings_file.read_text()
    assert f"port = {system.kafka_port}" in text and 'registry = "here"' in text
