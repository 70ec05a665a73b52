"""Files and folders that only their owner may read, whatever the umask of the caller says."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

FOLDER_MODE = 0o700
FILE_MODE = 0o600
#: The mode bits of everybody else; as a umask it keeps files from them.
OTHERS = 0o077


def keep_private() -> None:
    """Make every file that this process and its children create from now on readable by their owner alone.

    It holds for libraries, the engine and Java as well. Call it first thing in a program, never in a library.
    """
    os.umask(OTHERS)


def cache_folder() -> Path:
    """The folder of what this user can have made anew: `DRIFTLINE_CACHE_DIR`, else the platform's own place."""
    import platformdirs  # every command loads this module first

    return Path(os.environ.get("DRIFTLINE_CACHE_DIR") or platformdirs.user_cache_dir("driftline")).absolute()


def private_folder(path: Path) -> Path:
    """Make a folder and its missing parents with mode 0700; one that exists keeps its mode (see `tighten`).

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as top:
    ...     oct(private_folder(Path(top) / "a" / "b").stat().st_mode & 0o777)
    '0o700'
    """
    for folder in reversed([path, *path.parents]):
        if not folder.is_dir():
            folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    return path


def write_private(path: Path, content: bytes | str) -> None:
    """Write a file with mode 0600, whole or not at all: a reader never sees half of it.

    Raises
    ------
    OSError
        The disk is full, or the place cannot be written; what stood there before stays.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    beside.unlink(missing_ok=True)  # left by a crash, or put there by somebody else
    try:
        opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        with os.fdopen(opened, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def tighten(folder: Path, ours: Iterable[str]) -> list[Path]:
    """Take from everybody else what an earlier version let them read in a folder.

    Parameters
    ----------
    folder
        The data folder. It is closed as well if nothing lies in it but ``ours``: else it is somebody's own folder.
    ours
        Names below it that are ours, each with all that lies in it. Links are not followed.

    Returns
    -------
    list of Path
        Of ``folder`` and the entries that are ours, those whose mode was changed or had something changed in them.
    """
    if not folder.is_dir():
        return []
    entries = {entry.name: Path(entry.path) for entry in os.scandir(folder)}
    known = set(ours)
    changed = [path for name, path in sorted(entries.items()) if name in known and _close_tree(path)]
    if entries.keys() <= known and _close(folder):
        changed.insert(0, folder)
    return changed


def _close_tree(path: Path) -> bool:
    # The top last: where this is interrupted, the next start still sees that there is something to do.
    if path.is_symlink() or not path.stat().st_mode & OTHERS:
        return False
    for folder, folders, files in os.walk(path, topdown=False):
        for name in (*folders, *files):
            _close(Path(folder) / name)
    return _close(path)


def _close(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode) or not mode & OTHERS:
            return False
        path.chmod(stat.S_IMODE(mode) & ~OTHERS)
    except (PermissionError, FileNotFoundError):  # another user's, as a mounted volume may be; or just removed
        return False
    return True
