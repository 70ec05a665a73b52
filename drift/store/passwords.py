"""The embedded store's two users and their passwords: made once for a folder, one file each, 0600.

Whoever may read the folder may use the store: our roles and commands do so, and nobody needs to set anything. A
password is read when a client connects, since the store makes it at its first start.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from streams.private import FILE_MODE, FOLDER_MODE, private_folder

#: Writes, and keeps the schema: the sink and the commands. ClickHouse's clients take this name by default.
OWNER = "default"
#: Reads, and changes nothing: the page, Grafana and `drift.load`.
READER = "reader"
_BYTES = 32


def password_file(folder: str | Path, user: str = OWNER) -> Path:
    """Where a user's password lies.

    >>> password_file(".driftline/store", READER).as_posix()
    '.driftline/store/reader.password'
    """
    return Path(folder) / f"{user}.password"


def ensure_passwords(folder: Path) -> dict[str, str]:
    """Passwords by user; a folder that lacks one gets it, and the folder and its files become their owner's alone.

    Raises
    ------
    ValueError
        A password's file is empty.
    """
    private_folder(folder).chmod(FOLDER_MODE)  # One of before may be open.
    return {user: _ensure(password_file(folder, user)) for user in (OWNER, READER)}


def read_password(file: str | Path) -> str:
    """Read a password.

    Raises
    ------
    OSError
        The file is not there yet, or somebody else's.
    """
    return Path(file).read_text().strip()


def _ensure(file: Path) -> str:
    if not file.exists():
        # Written whole under another name first: a client that reads it meanwhile finds all of it or none.
        made = file.with_suffix(f".{os.getpid()}.new")
        made.unlink(missing_ok=True)
        made.touch(FILE_MODE, exist_ok=False)
        with made.open("w") as out:
            out.write(secrets.token_urlsafe(_BYTES) + "\n")
            out.flush()
            os.fsync(out.fileno())
        with suppress(FileExistsError):
            os.link(made, file)
        made.unlink()
    file.chmod(FILE_MODE)
    password = read_password(file)
    if not password:  # An empty one would let everybody in.
        raise ValueError(f"{file} is empty; remove it and start the store again, which makes a new password")
    return password
