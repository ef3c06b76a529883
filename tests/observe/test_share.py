"""Several workers' figures are added up; what a dead one has counted stays."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenws.observe import share as module
from greenws.observe.figures import NOTHING, Figures
from greenws.observe.share import Share

Join = Callable[..., Share]
TOTAL, OPEN, TIMES = "greenws_connections_total", "greenws_connections_open", "greenws_handler_seconds"


def figures(count: int, routes: tuple[str, ...] = ("/a",)) -> Figures:
    """Those of a worker that has opened so many connections, which are still open."""
    found = Figures()
    for route in routes:
        found.add(TOTAL, count, route)
        found.add(OPEN, count, route)
        found.add(TIMES, [float(count), *NOTHING[2:], 0.5], route)
    return found


@pytest.fixture
def join(tmp_path: Path) -> Iterator[Join]:
    """Adds a worker."""
    workers: list[Share] = []

    def join(arbiter: int | None = None) -> Share:
        workers.append(Share(arbiter or os.getpid(), "key", str(tmp_path)))
        return workers[-1]

    yield join
    for worker in workers:
        if worker._alive >= 0:
            os.close(worker._alive)


def die(worker: Share) -> None:
    """As the system ends a process: its locks are gone, its files are not."""
    os.close(worker._alive)
    worker._alive = -1


def leave(worker: Share, last: Figures) -> None:
    worker.leave(last)


def test_those_that_live_are_added_up(join: Join) -> None:
    first, second = join(), join()
    first.publish(figures(2))
    second.publish(figures(3, ("/a", "/b")))
    for worker in (first, second):
        total, living = worker.total()
        assert total.values[TOTAL] == total.values[OPEN] == {("/a",): 5, ("/b",): 3}
        assert total.values[TIMES]["/a",] == [5.0, *NOTHING[2:], 1.0]
        assert living == [os.getpid()] * 2


@pytest.mark.parametrize("end", [lambda worker: die(worker), lambda worker: leave(worker, figures(3))])
def test_of_a_dead_one_the_counts_stay_and_the_gauges_go(join: Join, end: Callable[[Share], None]) -> None:
    first, second = join(), join()
    first.publish(figures(2))
    second.publish(figures(3))
    end(second)
    for _ in range(3):
        total, living = first.total()
        assert (total.values[TOTAL], total.values[OPEN]) == ({("/a",): 5}, {("/a",): 2})
        assert total.values[TIMES]["/a",] == [5.0, *NOTHING[2:], 1.0]
        assert len(living) == 1
    assert sorted(file.suffix for file in first.folder.iterdir()) == ["", ".alive", ".json", ".json"]


def test_many_that_come_and_go_leave_two_files(join: Join) -> None:
    first = join()
    first.publish(figures(0))
    for _ in range(2 * module.LAST_MOVED):
        worker = join()
        worker.publish(figures(1))
        die(worker)
        first.total()
    total, _ = first.total()
    assert total.values[TOTAL]["/a",] == 2 * module.LAST_MOVED
    assert len(list(first.folder.iterdir())) == 4


@pytest.mark.parametrize("place", range(4))  # the files of three workers, and the past
@pytest.mark.parametrize("seems_alive", [True, False])
def test_who_reads_while_another_moves_counts_once(
    join: Join, monkeypatch: pytest.MonkeyPatch, place: int, seems_alive: bool
) -> None:
    first, second, third = join(), join(), join()
    for worker, count in ((first, 1), (second, 2), (third, 4)):
        worker.publish(figures(count))
    if not seems_alive:
        die(third)
    read, reads = Share._read, 0

    def read_late(self: Share, name: str) -> object:
        nonlocal reads
        if self is first:
            reads += 1
            if reads == place + 1:
                if third._alive >= 0:
                    die(third)
                second.total()
        return read(self, name)

    monkeypatch.setattr(Share, "_read", read_late)
    total, _ = first.total()
    assert reads > place
    assert total.values[TOTAL]["/a",] == 7


def test_without_the_lock_nothing_is_moved_and_all_is_counted(join: Join) -> None:
    first, second, third = join(), join(), join()
    for worker in (first, second, third):
        worker.publish(figures(1))
    die(third)
    with second._lock() as is_ours:
        assert is_ours
        assert first.total()[0].values[TOTAL]["/a",] == 3
        assert len(list(first.folder.glob("*-*.json"))) == 3
    assert first.total()[0].values[TOTAL]["/a",] == 3
    assert len(list(first.folder.glob("*-*.json"))) == 2


def test_a_mover_that_died_in_between_makes_nothing_count_twice(join: Join) -> None:
    first, second = join(), join()
    first.publish(figures(1))
    second.publish(figures(2))
    die(second)
    (file,) = first.folder.glob(f"{second._name}.json")
    data = file.read_text()
    first.total()
    file.write_text(data)  # as if it had not come to removing it
    for _ in range(2):
        assert first.total()[0].values[TOTAL]["/a",] == 3


def test_the_last_one_takes_the_folder_with_it(join: Join) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as arbiter:  # this process may have children of other tests
        first, second = join(arbiter.pid), join(arbiter.pid)
        first.publish(figures(1))
        leave(first, figures(1))
        assert second.folder.exists()
        leave(second, figures(1))
        assert not second.folder.exists()
        arbiter.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="children are found in /proc")
def test_the_folder_stays_for_one_that_begins(join: Join) -> None:
    worker = join()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as begins:
        leave(worker, figures(1))
        assert worker.folder.exists()
        assert join().total()[0].values[TOTAL] == {("/a",): 1}
        begins.communicate()


def test_a_folder_that_was_removed_is_made_again(join: Join) -> None:
    first, second = join(), join()
    first.publish(figures(1))
    module.shutil.rmtree(first.folder)
    second.publish(figures(2))
    first.publish(figures(1))
    assert first.total()[0].values[TOTAL]["/a",] == 3


def test_the_folder_is_for_us_alone(join: Join, tmp_path: Path) -> None:
    folder = join().folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    with pytest.raises(PermissionError, match="not a folder of ours alone"):
        join()
    module.shutil.rmtree(folder)
    folder.symlink_to(tmp_path)
    with pytest.raises(PermissionError):
        join()


def test_folders_of_arbiters_that_are_gone_are_removed(join: Join, tmp_path: Path) -> None:
    folder = join().folder
    prefix, _, _, digest = folder.name.rsplit("-", 3)
    gone = tmp_path / f"{prefix}-{os.getpid()}-1-{digest}"  # the id is another process's by now
    gone.mkdir()
    join()
    assert folder.exists()
    assert not gone.exists()


def test_a_metric_of_another_version_is_passed_over() -> None:
    data = json.loads(json.dumps(figures(1).as_json())) | {"greenws_unheard_of_total": [["/a", 1]]}
    assert Figures.from_json(data).values == figures(1).values
