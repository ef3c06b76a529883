"""When to ping: decisions about time, without time. Counted in ticks of the wheel."""

from __future__ import annotations

GOLDEN = 0.6180339887498949  # multiples of it, modulo 1, are spread evenly however many there are (Weyl)


def first_beat(number: int, interval: int) -> int:
    """Returns in how many ticks connection ``number`` is first asked.

    Connections opened in the same second get phases spread over the whole interval, so they never ping in one burst.
    """
    return 1 + int(number * GOLDEN % 1.0 * interval)


def beat(tick: int, ping_tick: int, answered: bool, interval: int, timeout: int) -> tuple[str, int]:
    """Decides what to do with a connection now.

    Args:
        tick: now.
        ping_tick: when the last ping went out, 0 for never.
        answered: whether any byte has come from the peer since then. Every byte counts as life.
        interval, timeout: the settings ``ping_interval`` and ``ping_timeout``.

    Returns:
        ``("ping", n)``, ``("wait", n)`` or ``("dead", 0)``, with the ticks until the next decision.
    """
    age = tick - ping_tick
    if ping_tick and not answered:
        if age >= timeout:
            return "dead", 0
        return "wait", timeout - age
    if ping_tick and age < interval:
        return "wait", interval - age
    return "ping", min(interval, timeout)
