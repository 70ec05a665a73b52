"""This machine: Python, packages, device, jars, folder, secrets, ports."""

import ctypes
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

import driftline
from driftline.doctor.finding import Finding, failing
from driftline.roles import run_file
from driftline.secrets import concealed
from driftline.settings import Settings

_OURS = ("driftline", "streams", "inference", "drift", "dashboards")
_PYTHON = ((3, 11), (3, 14))
_FREE_BYTES_MIN = 1_000_000_000
_FREE_BYTES_WARN = 10_000_000_000
_FILE_OPTION = re.compile(r"^ssl\.(ca|certificate|key|crl|keystore)\.location$")


def python() -> Iterator[Finding]:
    """The interpreter."""
    version = sys.version.split()[0]
    low, high = _PYTHON
    if low <= sys.version_info[:2] < high:
        yield Finding("python", "ok", version)
    else:
        yield failing("python", f"{version}; 3.11 to 3.13 is needed", "uv venv --python 3.13")


def packages() -> Iterator[Finding]:
    """Our packages are ours: another wheel in the wild installs a package `inference`."""
    home = Path(driftline.__file__).resolve().parent.parent
    strange = []
    claimed = metadata.packages_distributions()
    for name in _OURS:
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        others = sorted(set(claimed.get(name, ())) - {"driftline"})
        if others:
            fix = f"pip uninstall -y {' '.join(others)} && pip install --force-reinstall --no-deps driftline"
            strange.append(failing("packages", f"the package {name} is also installed by {', '.join(others)}", fix))
        elif origin != home / name / "__init__.py":
            fix = (
                f"remove {origin.parent} from the Python path" if origin else "pip install --force-reinstall driftline"
            )
            strange.append(failing("packages", f"{name} is {origin}, not the one in {home}", fix))
    yield from strange or [Finding("packages", "ok", f"all in {home}")]


def dependencies(settings: Settings) -> Iterator[Finding]:
    """What each extra needs, in the versions that we were tested with."""
    from packaging.requirements import Requirement

    needed = {"", "kafka", "clickhouse", "inference", "page"}
    needed |= ({"broker"} if settings.embedded_kafka else set()) | ({"store"} if settings.embedded_store else set())
    needed |= {"avro"} if settings.schema_registry.url else set()
    absent: dict[str, list[str]] = {}
    wrong = []
    for requirement in map(Requirement, metadata.requires("driftline") or ()):
        extra = _extra(str(requirement.marker or ""))
        if extra == "all" or requirement.name == "driftline":
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            absent.setdefault(extra, []).append(requirement.name)
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            name = f"{requirement.name}{requirement.specifier}"
            wrong.append(
                failing("dependencies", f"{requirement.name} {version}; {name} is needed", f"pip install '{name}'")
            )
    if _installed("grafana-client"):
        fix = "pip uninstall -y grafana-client && pip install --force-reinstall urllib3"
        wrong.append(failing("dependencies", "grafana-client overwrites urllib3", fix))
    yield from wrong
    for extra, names in sorted(absent.items()):
        text = f"{', '.join(names)} not installed" + (f", for the extra {extra}" if extra else "")
        fix = f"pip install 'driftline[{extra}]'" if extra else "pip install --force-reinstall driftline"
        yield Finding("dependencies", "fail" if extra in needed else "note", text, fix)
    if not wrong and not absent:
        yield Finding("dependencies", "ok", "all extras, in versions that were tested")


def _extra(marker: str) -> str:
    """Name of the extra that a requirement belongs to.

    >>> _extra('extra == "kafka"')
    'kafka'
    """
    match = re.search(r"extra == [\"'](.+?)[\"']", marker)
    return match[1] if match else ""


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def device(settings: Settings) -> Iterator[Finding]:
    """Torch and what it would see, asked of the driver itself: importing torch takes seconds."""
    if not _installed("torch"):
        return  # `dependencies` says it
    torch, wanted, seen = metadata.version("torch"), settings.score.device, _cuda_devices()
    text = f"torch {torch}, {seen} CUDA devices, score.device = {wanted!r}"
    number = int(wanted.partition(":")[2] or 0) if wanted.startswith("cuda") else -1
    if number >= seen:
        yield failing("device", text, 'score.device = "auto"')
    elif seen and "+cpu" in torch and wanted != "cpu":
        yield Finding(
            "device", "warn", f"{text}: this torch is built without CUDA", "pip install --force-reinstall torch"
        )
    else:
        yield Finding("device", "ok", text)


def _cuda_devices() -> int:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def jars(settings: Settings) -> Iterator[Finding]:
    """Kafka's jars, where the broker is ours."""
    if not settings.embedded_kafka:
        return
    from driftline.broker import jars as kafka
    from driftline.broker.errors import JarMismatch
    from streams.private import cache_folder

    folder = cache_folder() / kafka.folder_name()
    if not folder.is_dir():
        text = f"Apache Kafka {kafka.KAFKA_VERSION} is not fetched yet (45 MB, once)"
        yield Finding("jars", "warn", text, "driftline broker --fetch")
        return
    try:
        kafka.verify(folder, kafka.pins(kafka.PINS.read_text()))
    except (JarMismatch, OSError):
        text = f"a jar in {folder} is missing or is not the one that was pinned"
        yield failing("jars", text, f"rm -r {folder} && driftline broker --fetch")
    else:
        yield Finding("jars", "ok", f"Apache Kafka {kafka.KAFKA_VERSION}")


def folder(settings: Settings) -> Iterator[Finding]:
    """The data directory and its disk."""
    wanted = settings.data_dir.absolute()
    there = next(path for path in (wanted, *wanted.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        text = f"{wanted} cannot be written: {there} is {'not ours to write' if there.is_dir() else 'a file'}"
        yield failing("data_dir", text, 'data_dir = "/a/folder/of/yours"')
        return
    free = shutil.disk_usage(there).free
    text = f"{wanted}, {free / 1e9:,.1f} GB free"
    state = "fail" if free < _FREE_BYTES_MIN else "warn" if free < _FREE_BYTES_WARN else "ok"
    yield Finding("data_dir", state, text, "" if state == "ok" else 'data_dir = "/a/larger/disk"')  # type: ignore[arg-type]


def secrets(settings: Settings) -> Iterator[Finding]:
    """References can be resolved, and no secret stands in the open; values are never shown."""
    from streams.secrets import open_reference

    findings = []
    references = dict(_texts("", settings.model_dump()))
    for key, value in references.items():
        if value.startswith(("env:", "file:")):
            try:
                open_reference(value)
            except ValueError as error:
                fix = f"export {value[4:]}=..." if value.startswith("env:") else f"chmod u+r {value[5:]}"
                findings.append(failing("secrets", f"{key}: {error}", fix))
        elif concealed(key, value) != value:
            text = f"{key} stands in the open"
            findings.append(Finding("secrets", "warn", text, f'{key} = "env:{_variable(key)}", or file:PATH'))
        elif _FILE_OPTION.match(key.removeprefix("kafka.options.")) and not os.access(value, os.R_OK):
            findings.append(failing("secrets", f"{key}: {value} cannot be read", f"chmod u+r {value}"))
    count = sum(value.startswith(("env:", "file:")) for value in references.values())
    yield from findings or [
        Finding("secrets", "ok", f"{count} references, all readable" if count else "none are named")
    ]


def _texts(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(f"{key}.{name}" if key else name, inner)
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from _texts(f"{key}[{n}]", inner)


def _variable(key: str) -> str:
    """Name an environment variable for a secret.

    >>> [_variable(key) for key in ("kafka.options.sasl.password", "clickhouse.password", "monitor.notify[0]")]
    ['KAFKA_SASL_PASSWORD', 'CLICKHOUSE_PASSWORD', 'MONITOR_NOTIFY_0']
    """
    return re.sub(r"\W+", "_", key.replace("kafka.options.", "kafka.")).strip("_").upper()


def ports(settings: Settings) -> Iterator[Finding]:
    """Ports of what `driftline up` would start: free, or ours already; and none that the kernel gives away."""
    from driftline.supervisor import ports as needed

    wanted = needed.wanted(settings)
    given_away = needed.ephemeral()
    for port in wanted:
        if port.number in given_away:
            text = f"{port.key} = {port.number} lies where the kernel takes ports for outgoing connections"
            low = needed.free_above(20_000 + port.number % 10_000)
            yield Finding("ports", "warn", f"{text} ({given_away[0]}-{given_away[-1]})", f"{port.key} = {low}")
    try:
        run = run_file.read(settings.data_dir)
    except run_file.RunFileError as error:
        run = None
        yield Finding("ports", "warn", str(error), "driftline up")
    if run:
        yield Finding("ports", "ok", f"process {run['pid']} runs here: {run['page']}")
        return
    taken = [port for port in wanted if not port.free]
    for port in taken:
        who = needed.holder(port.number)
        if _is_ours(who.pid, settings.data_dir):
            text = f"{port.key} = {port.number} is held by a role of ours that was started by hand: {who.text}"
            yield Finding("ports", "note", text)
        else:
            other = needed.free_above(port.number, port.host)
            text = f"{port.key} = {port.number} is taken by {who.text}"
            yield failing("ports", text, f"{port.key} = {other}, or stop that program")
    if not taken:
        yield Finding("ports", "note", "nothing runs here, and the ports are free", "driftline up")


def _is_ours(pid: int, data_dir: Path) -> bool:
    """Whether a process is one of ours; only those of this user can be seen."""
    try:
        process = psutil.Process(pid)
        ours = any(Path(word).name == "driftline" for word in process.cmdline())
        return ours or Path(process.cwd()) == (data_dir / "kafka").resolve()  # Java, which our broker starts there
    except (psutil.Error, FileNotFoundError):  # psutil lets the latter out where a process ends as it reads
        return False
