"""Start servers, run a command that finds them in its environment, end them.

    uv venv /tmp/mlserver && uv pip install --python /tmp/mlserver/bin/python mlserver
    uv venv --python /usr/bin/python3 /tmp/triton && uv pip install --python /tmp/triton/bin/python nvidia-pytriton
    python -m benchmarks.remote_servers --mlserver /tmp/mlserver/bin/python --triton /tmp/triton/bin/python \
        -- pytest tests/inference/test_remote_live.py

pytriton's Triton runs Python models alone, under CPython 3.11.2 or thereabouts: Debian 12's own, not the newest 3.11.
Addresses stand in DRIFTLINE_TEST_MLSERVER and DRIFTLINE_TEST_TRITON: ``http://... grpc://...``.

`tests/inference/test_exporting.py` starts them itself, with what `driftline model export` wrote:
DRIFTLINE_TEST_MLSERVER_PYTHON and DRIFTLINE_TEST_TRITON_PYTHON name interpreters that have
msgspec, tomlkit, pyarrow, structlog and tenacity as well.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

_HERE = Path(__file__).parent
_READY_S_MAX = 90
_MLSERVER = {"host": "127.0.0.1", "parallel_workers": 0, "metrics_endpoint": None, "debug": False}


def free_ports(count):
    """Ports that nobody listens on now."""
    with ExitStack() as sockets:
        bound = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in bound:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in bound]


@contextmanager
def mlserver(python, folder=None):
    """MLServer with the models of a folder, or with the small one; yields its addresses."""
    http, grpc = free_ports(2)
    with tempfile.TemporaryDirectory() as made:
        if folder is None:
            folder = Path(made)
            shutil.copy(_HERE / "mlserver_model.py", folder)
            settings = {"name": "churn", "implementation": "mlserver_model.Churn"}
            (folder / "model-settings.json").write_text(json.dumps(settings))
        server_settings = Path(made) / "settings.json"
        server_settings.write_text(json.dumps({**_MLSERVER, "http_port": http, "grpc_port": grpc}))
        if folder != Path(made):
            shutil.copy(server_settings, folder / "settings.json")
        command = [str(Path(python).with_name("mlserver")), "start", str(folder)]
        with _running(
            command, f"http://127.0.0.1:{http}/v2/health/ready", dict(os.environ) | {"PYTHONPATH": str(folder)}
        ):
            yield f"http://127.0.0.1:{http} grpc://127.0.0.1:{grpc}"


@contextmanager
def triton(python):
    """Triton with the small model; yields its addresses."""
    http, grpc, metrics = free_ports(3)
    command = [python, str(_HERE / "triton_server.py"), str(http), str(grpc), str(metrics)]
    with _running(command, f"http://127.0.0.1:{http}/v2/models/churn/ready", os.environ):
        yield f"http://127.0.0.1:{http} grpc://127.0.0.1:{grpc}"


@contextmanager
def triton_repository(python, folder, model):
    """Triton with a folder of models that its Python backend runs; yields its addresses.

    The server is pytriton's, which keeps the backend's stub, by version of Python, where the server does not look.
    """
    http, grpc, metrics = free_ports(3)
    asked = "import sys, pytriton; print(pytriton.__path__[0], *sys.version_info[:2])"
    installed, *version = subprocess.run(
        [python, "-c", asked], capture_output=True, text=True, check=True
    ).stdout.split()
    server = Path(installed) / "tritonserver"
    environment = dict(os.environ) | {
        "PATH": f"{Path(python).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{_HERE.parents[1]}:{Path(installed).parent}",
        "LD_LIBRARY_PATH": str(Path(installed).with_name("nvidia_pytriton.libs")),
    }
    with tempfile.TemporaryDirectory() as backends:
        shutil.copytree(server / "backends", backends, dirs_exist_ok=True)
        shutil.copytree(server / "python_backend_stubs" / ".".join(version), f"{backends}/python", dirs_exist_ok=True)
        command = [str(server / "bin/tritonserver"), "--model-repository", str(folder), "--backend-directory", backends]
        for name, port in (("http", http), ("grpc", grpc), ("metrics", metrics)):
            command += [f"--{name}-port", str(port), f"--{name}-address", "127.0.0.1"]
        with _running(command, f"http://127.0.0.1:{http}/v2/models/{model}/ready", environment):
            yield f"http://127.0.0.1:{http} grpc://127.0.0.1:{grpc}"


@contextmanager
def _running(command, address, environment):
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            _wait(process, address)
            yield
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read()[-4_000:].decode(errors="replace"))
            raise
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(process, address):
    ends_s = time.monotonic() + _READY_S_MAX
    while time.monotonic() < ends_s and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"{address}: not ready within {_READY_S_MAX} s; its log ends as above")


def main():
    """Start what is named, run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.remote_servers", description=__doc__)
    parser.add_argument("--mlserver", metavar="PYTHON", help="interpreter of an environment with mlserver")
    parser.add_argument("--triton", metavar="PYTHON", help="interpreter of an environment with nvidia-pytriton")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    with ExitStack() as servers:
        environment = dict(os.environ)
        for name, start in (("mlserver", mlserver), ("triton", triton)):
            if python := getattr(given, name):
                environment[f"DRIFTLINE_TEST_{name.upper()}"] = servers.enter_context(start(python))
        return subprocess.run(given.command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
