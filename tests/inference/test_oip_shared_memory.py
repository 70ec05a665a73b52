"""Tensors in shared memory: tritonclient's regions are read; what is not the caller's to have read is refused."""

import os
import uuid
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.utils.shared_memory as shared
from oip_servers import Servers
from tritonclient.utils import InferenceServerException

from inference.oip.listening import Listening, NotListening
from inference.oip.refusals import InvalidRequest
from inference.oip.shared_memory import Regions


@pytest.fixture(scope="module")
def servers():
    servers = Servers(regions=Regions())
    servers.load()
    yield servers
    servers.stop()


@pytest.fixture
def region():
    key = f"/driftline-test-{uuid.uuid4().hex}"
    handle = shared.create_shared_memory_region("rows", key, 64)
    shared.set_shared_memory_region(handle, [np.arange(16, dtype=np.float32)])
    yield key
    shared.destroy_shared_memory_region(handle)


def test_rows_are_read_from_a_region_and_it_is_listed_and_let_go(servers, region):
    with servers.client() as client:
        client.register_system_shared_memory("rows", region, 64)
        given = triton.InferInput("matrix", [3, 1], "FP32")
        given.set_shared_memory("rows", 12, offset=8)
        assert client.infer("m", [given]).as_numpy("scores").tolist() == [[4], [6], [8]]
        status = client.get_system_shared_memory_status().regions["rows"]
        assert (status.name, status.key, status.offset, status.byte_size) == ("rows", region, 0, 64)
        client.unregister_system_shared_memory("rows")
        assert not client.get_system_shared_memory_status().regions
        with pytest.raises(InferenceServerException, match=r"INVALID_ARGUMENT.*no region 'rows' is registered"):
            client.infer("m", [given])


def test_scores_are_never_written_to_a_region(servers, region):
    with servers.client() as client:
        client.register_system_shared_memory("rows", region, 64)
        given, wanted = triton.InferInput("matrix", [1, 1], "FP32"), triton.InferRequestedOutput("scores")
        given.set_shared_memory("rows", 4)
        wanted.set_shared_memory("rows", 4)
        with pytest.raises(InferenceServerException, match="never written to shared memory"):
            client.infer("m", [given], outputs=[wanted])
        client.unregister_system_shared_memory()


def test_without_the_option_there_is_none(region):
    servers = Servers()
    try:
        servers.load()
        with servers.client() as client:
            with pytest.raises(InferenceServerException, match="UNIMPLEMENTED"):
                client.register_system_shared_memory("rows", region, 64)
            given = triton.InferInput("matrix", [1, 1], "FP32")
            given.set_shared_memory("rows", 4)
            with pytest.raises(InferenceServerException, match=r"INVALID_ARGUMENT.*shared memory is off"):
                client.infer("m", [given])
    finally:
        servers.stop()
    with pytest.raises(NotListening, match="--shared-memory is for clients of this machine"):
        Listening("0.0.0.0", shared_memory=True)


@pytest.fixture
def regions(tmp_path):
    (tmp_path / "driftline-a").write_bytes(bytes(range(64)))
    (tmp_path / "driftline-a").chmod(0o600)
    regions = Regions(tmp_path)
    yield regions
    regions.unregister()


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("other", "must begin with 'driftline-'"),
        ("driftline-../../etc/passwd", "must begin with"),
        ("driftline-a/../b", "must begin with"),
        ("//driftline-a", "must begin with"),
        ("driftline-", "must begin with"),
        ("driftline-a\n", "must begin with"),
        ("driftline-\0a", "must begin with"),
        ("k" * 10_000, r"key 'k{100}\.\.\.'"),
        ("driftline-none", "No such file"),
        ("driftline-link", "Too many levels of symbolic links"),
        ("driftline-folder", "it is no shared memory"),
        ("driftline-pipe", "it is no shared memory"),
        ("driftline-open", "others may write to it"),
        ("driftline-short", "it has 8 bytes, 64 are wanted"),
    ],
)
def test_a_key_that_is_not_the_callers_to_have_read(regions, tmp_path, key, why):
    (tmp_path / "driftline-link").symlink_to("driftline-a")
    (tmp_path / "driftline-folder").mkdir()
    os.mkfifo(tmp_path / "driftline-pipe")
    (tmp_path / "driftline-open").write_bytes(bytes(64))
    (tmp_path / "driftline-open").chmod(0o622)
    (tmp_path / "driftline-short").write_bytes(bytes(8))
    with pytest.raises(InvalidRequest, match=why):
        regions.register("r", key, 0, 64)
    assert not regions.listed()


def test_another_users_memory_is_refused(regions, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    with pytest.raises(InvalidRequest, match="belongs to another user"):
        regions.register("r", "driftline-a", 0, 64)


@pytest.mark.parametrize(
    ("name", "offset", "size"),
    [("", 0, 64), ("n" * 257, 0, 64), ("r", 0, 0), ("r", -1, 8), ("r", 0, -8), ("r", 2**63, 8), ("r", 0, 2**63),
     ("r", 60, 8)],
)  # fmt: skip
def test_a_region_that_is_none_is_refused(regions, name, offset, size):
    with pytest.raises(InvalidRequest):
        regions.register(name, "driftline-a", offset, size)


@pytest.mark.parametrize(("offset", "size"), [(0, 33), (-1, 4), (4, -4), (32, 1), (2**62, 4), (0, 2**62)])
def test_bytes_outside_of_a_region_are_not_read(regions, offset, size):
    regions.register("r", "driftline-a", 16, 32)
    assert regions.read("r", 0, 32) == bytes(range(16, 48)) and regions.read("r", 31, 1) == b"\x2f"
    with pytest.raises(InvalidRequest, match="are not within 'r'"):
        regions.read("r", offset, size)


def test_a_region_that_is_cut_is_a_refusal_and_its_file_is_closed_at_the_end(regions, tmp_path):
    open_before = _open_files()
    regions.register("r", "driftline-a", 0, 64)
    with pytest.raises(InvalidRequest, match="'r' is registered"):
        regions.register("r", "driftline-a", 0, 64)
    os.truncate(tmp_path / "driftline-a", 8)
    with pytest.raises(InvalidRequest, match="has been cut: 8 bytes of 64"):
        regions.read("r", 0, 64)
    regions.unregister()
    assert _open_files() == open_before


def _open_files():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_regions_are_bounded_in_number(regions):
    for n in range(256):
        regions.register(str(n), "driftline-a", 0, 64)
    with pytest.raises(InvalidRequest, match="256 regions are registered"):
        regions.register("more", "driftline-a", 0, 64)
