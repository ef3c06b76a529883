"""The list of hostile input as one table. ``python -m tests.hostile.corpus`` prints it.

Most cases are bytes: they are rows of heads.py, deflated.py and tests/frame_cases.py, and go to all three stacks. Those
that are about time, memory or leaving have tests of their own. For some there is no code yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.frame_cases import ALL, SMALL_FRAGMENTS, Case
from tests.hostile.deflated import DEFLATED
from tests.hostile.heads import NO_HEAD, SILENCE, Head, broken, foreign, refused, served
from tests.hostile.peer import UPGRADE
from tests.hostile.site import STACKS

# How many there are of each kind: handshake, origin, frames, UTF-8, close, compression, authentication, channels and
# what is behind them, a client's hostile server.
COUNTS = {"H": 48, "O": 10, "W": 28, "U": 10, "K": 6, "Z": 10, "A": 24, "B": 8, "P": 10}
IDS = [f"{kind}{number}" for kind, count in COUNTS.items() for number in range(1, count + 1)]

TESTS = {
    "H36": "hostile/test_patience.py::test_half_a_head_and_silence",
    "H37": "hostile/test_heads.py::test_a_header_with_an_underscore_is_not_seen",
    "H38": "hostile/test_heads.py::test_a_header_with_an_underscore_is_not_seen",
    "H47": "hostile/test_floods.py::test_a_connection_too_many_is_sent_away",
    "W18": "hostile/test_floods.py::test_a_frame_that_comes_byte_by_byte_costs_no_more_than_twice_its_size",
    "W19": "hostile/test_patience.py::test_a_message_that_is_never_finished",
    "W24": "hostile/test_floods.py::test_ten_thousand_unasked_pongs",
    "W25": "hostile/test_floods.py::test_what_half_a_million_pings_cost_that_are_not_counted",
    "W27": "hostile/test_patience.py::test_a_peer_that_goes_without_a_close",
    "W28": "hostile/test_patience.py::test_a_peer_that_goes_without_a_close",
    "K5": "hostile/test_patience.py::test_a_peer_that_does_not_answer_our_close",
    "K6": "hostile/test_patience.py::test_both_close_at_once",
    "Z1": "hostile/test_floods.py::test_what_a_bomb_of_nearly_a_gibibyte_costs",
    "Z9": "hostile/test_compression.py::test_a_bomb_for_a_route_that_refuses_its_peer",
    "Z10": "hostile/test_floods.py::test_what_contexts_of_compression_cost",
}

NOT_YET = {
    "H48": "nothing counts the attempts of one address",
    "O10": "nothing authenticates: an application that does decides what it wants without an Origin",
    **dict.fromkeys((f"A{number}" for number in range(1, 25)), "nothing authenticates"),
    **dict.fromkeys((f"B{number}" for number in range(1, 9)), "there are no channels, no backplane and no dashboard"),
    **dict.fromkeys((f"P{number}" for number in range(1, 11)), "there is no client but that of the tests"),
}

ROWS: list[Head | Case] = [
    *broken("/event", upgrade=True),
    *refused("/event"),
    *served("/event"),
    *foreign("/list"),
    *ALL,
    SMALL_FRAGMENTS,
    *DEFLATED,
]


def ids(row: Head | Case) -> list[str]:
    """The ids that a row's name begins with: ``W2-4`` is three, and other cases have none."""
    found = re.match(r"([A-Z])(\d+)(?:-(\d+))? ", row.name)
    if found is None:
        return []
    kind, first, last = found.groups()
    return [f"{kind}{number}" for number in range(int(first), int(last or first) + 1)]


def wanted(row: Head | Case) -> str:
    """The answer in words."""
    if isinstance(row, Head):
        return " or ".join(map(str, row.statuses))
    return ", ".join(short(event, 24) for event in row.events)


def short(value: object, size: int) -> str:
    text = repr(value)
    return text if len(text) <= size else f"{text[: size - 1]}…"


def unusual(wire: bytes) -> bytes:
    """Without the lines that every handshake has."""
    for line in UPGRADE:
        wire = wire.replace(line + b"\r\n", b"", 1)
    return wire


def lines() -> Iterator[str]:
    """The table, in Markdown."""
    yield f"| case | bytes | answer | {' | '.join(f'{stack}, where it differs' for stack in STACKS[1:])} |"
    yield "|---" * (len(STACKS) + 2) + "|"
    words = {NO_HEAD: "no head", SILENCE: "no answer"}
    for row in ROWS:
        others = [getattr(row, "elsewhere", {}).get(stack) for stack in STACKS[1:]]
        cells = ["" if other is None else f"{words.get(other.status, other.status)}: {other.why}" for other in others]
        shown = short(unusual(row.wire), 100).replace("|", "\\|")
        yield f"| {row.name} | `{shown}` | {wanted(row)} | {' | '.join(cells)} |"
    for name, test in TESTS.items():
        yield f"| {name} | | tests/{test} | | |"
    for name, why in NOT_YET.items():
        yield f"| {name} | | not yet: {why} | | |"


if __name__ == "__main__":
    print("\n".join(lines()))
