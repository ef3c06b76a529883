"""On which stacks, to which routes and in which pieces the cases of a table are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import pytest

from tests.hostile.site import STACKS
from tests.wire import at_random_splits, one_by_one

STYLES = ("/event", "/view", "/lean", "/leanview")
WAYS = ("whole", "byte by byte", "in pieces")
EDGE = 200  # bytes at either end that are sent one by one; all of them would take a long head past its deadline
PIECE = 50


class Row(Protocol):
    """A row of a table."""

    @property
    def name(self) -> str:
        """Its id, and what is sent."""

    @property
    def wire(self) -> bytes:
        """The bytes."""


def cut(wire: bytes, way: str) -> list[list[bytes]]:
    """The ways to send something: each a list of pieces."""
    if way == "whole":
        return [[wire]]
    return [one_by_one_at_its_ends(wire)] if way == "byte by byte" else list(at_random_splits(wire, 1))


def one_by_one_at_its_ends(wire: bytes) -> list[bytes]:
    """Single bytes; between the ends of what is long, pieces."""
    stop = max(EDGE, len(wire) - EDGE)
    between = [wire[i : min(i + PIECE, stop)] for i in range(EDGE, stop, PIECE)]
    return [*one_by_one(wire[:EDGE]), *between, *one_by_one(wire[stop:])]


def everywhere(
    table: Callable[[str], Iterable[Row]], paths: Sequence[str] = STYLES, stacks: Sequence[str] = STACKS
) -> list[object]:
    """Parameters ``site``, ``path``, ``row`` and ``way``: each row of a table on each stack.

    Single bytes go to the first route on our server alone. Behind nginx and on gunicorn there is but that route: what
    the others make of a case, our own server shows.
    """
    found = []
    for stack in stacks:
        for path in paths if stack == "ours" else paths[:1]:
            for row in table(path):
                for way in WAYS:
                    if way == "byte by byte" and (stack, path) != ("ours", paths[0]):
                        continue
                    found.append(pytest.param(stack, path, row, way, id=f"{stack} {path}: {row.name}-{way}"))
    return found
