"""Figures of several workers: each publishes its own in a folder they share, and who is asked adds them up.

A worker has two files there. ``NAME.json`` is what it last published. ``NAME.alive`` it keeps locked as long as it
lives, so that the system itself tells the others when it has died, however it died. What a dead one has counted is
moved to ``past.json``; its gauges are gone with it. Only what is in a file is ever reported, so no total ever falls.

The files are in memory (``/dev/shm``) where that is to be had: the hub must not wait for a disk.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from greenws.observe.figures import Figures

log = logging.getLogger("greenws.observe")

PREFIX = "greenws-metrics"
PAST = "past.json"
LAST_MOVED = 100  # names that past.json remembers: who reads beside us may hold one that has been moved meanwhile


class Share:
    """One worker's place among the workers of one arbiter.

    Args:
        arbiter: the process id of their parent.
        key: tells groups of one parent apart.
        base: the folder that has the folder they share; None takes memory, or the system's folder for such.

    Raises:
        OSError: the folder cannot be made, or is not ours alone.
    """

    def __init__(self, arbiter: int, key: str, base: str | None = None) -> None:
        root = Path(base or ("/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()))
        digest = hashlib.sha256(key.encode()).hexdigest()[:8]
        self.folder = root / f"{PREFIX}-{os.geteuid()}-{arbiter}-{_birth(arbiter)}-{digest}"
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._arbiter = arbiter
        self._alive = -1
        _sweep(root)
        self._join()

    def _join(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        found = self.folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise PermissionError(f"{self.folder} is not a folder of ours alone")
        if self._alive >= 0:
            os.close(self._alive)
        self._alive = os.open(self.folder / f"{self._name}.alive", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._alive, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def publish(self, figures: Figures) -> None:
        """Writes this worker's figures for the others. Reads nothing, waits for nobody."""
        try:
            self._write(f"{self._name}.json", figures.as_json())
        except FileNotFoundError:  # the last of those before us has removed the folder just now
            self._join()
            self._write(f"{self._name}.json", figures.as_json())

    def _write(self, name: str, data: Any) -> None:
        draft = self.folder / f"{self._name}.{name}.draft"
        draft.write_text(json.dumps(data))
        draft.replace(self.folder / name)

    def total(self) -> tuple[Figures, list[int]]:
        """Returns the figures of all workers, the dead ones' counts among them, and the ids of those that live.

        Needs no lock: the counts that have been moved are read last, with the names they came from.
        """
        living: dict[str, Figures] = {}
        dead: dict[str, Figures] = {}
        for name in self._names():
            group = living if self._is_alive(name) else dead
            if (found := self._read(f"{name}.json")) is not None:
                group[name] = Figures.from_json(found)
        past = self._read(PAST) or {"moved": [], "figures": {}}
        total = Figures.from_json(past["figures"])
        for name in past["moved"]:
            living.pop(name, None)
            dead.pop(name, None)
        for figures in living.values():
            total.merge(figures)
        for figures in dead.values():
            total.merge(figures, only_counts=True)
        if dead:
            self._move(list(dead))
        return total, [int(name.partition("-")[0]) for name in living]

    def _names(self) -> list[str]:
        return sorted(file.stem for file in self.folder.glob("*-*.json"))

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self.folder / name).read_text())
        except FileNotFoundError:
            return None

    def _is_alive(self, name: str) -> bool:
        if name == self._name:
            return True
        try:
            fd = os.open(self.folder / f"{name}.alive", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def _move(self, dead: list[str]) -> None:
        """Adds what dead workers have counted to the past, unless another worker is doing that."""
        with self._lock() as is_ours:
            if not is_ours:
                return
            past = self._read(PAST) or {"moved": [], "figures": {}}
            figures = Figures.from_json(past["figures"])
            for name in dead:
                found = self._read(f"{name}.json")
                if name not in past["moved"] and found is not None:
                    figures.merge(Figures.from_json(found), only_counts=True)
                    past["moved"].append(name)
            self._write(PAST, {"moved": past["moved"][-LAST_MOVED:], "figures": figures.as_json()})
            for name in dead:
                for suffix in ("json", "alive"):
                    (self.folder / f"{name}.{suffix}").unlink(missing_ok=True)

    @contextmanager
    def _lock(self) -> Iterator[bool]:
        fd = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True
        except BlockingIOError:
            yield False
        finally:
            os.close(fd)

    def leave(self, figures: Figures) -> None:
        """Publishes for the last time. The last of all takes the folder with it."""
        self.publish(figures)
        os.close(self._alive)  # first: of two that leave at once one at least sees nobody
        self._alive = -1
        others = {file.stem for file in self.folder.glob("*.alive")} - {self._name}
        if not any(map(self._is_alive, others)) and not self._has_successor(others):
            shutil.rmtree(self.folder, ignore_errors=True)

    def _has_successor(self, others: set[str]) -> bool:
        """Whether a worker begins that has not joined yet: at a reload the old ones may all end before that."""
        try:
            children = Path(f"/proc/{self._arbiter}/task/{self._arbiter}/children").read_text().split()
        except OSError:
            return False
        return not {*children} <= {str(os.getpid()), *(name.partition("-")[0] for name in others)}


def _birth(pid: int) -> str:
    """When a process began, in ticks since the machine did: with it the id is of one process (proc_pid_stat(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return "0"


def _sweep(root: Path) -> None:
    """Removes the folders of arbiters that are gone: their last worker was killed."""
    for folder in root.glob(f"{PREFIX}-{os.geteuid()}-*"):
        _, _, _, arbiter, birth, _ = folder.name.split("-")
        if _birth(int(arbiter)) != birth and folder.lstat().st_uid == os.geteuid():
            shutil.rmtree(folder, ignore_errors=True)
