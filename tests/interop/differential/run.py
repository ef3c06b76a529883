"""``make differential``: many streams, read by us and by others."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from multiprocessing import Pool

from tests.interop.differential.rules import judge
from tests.interop.differential.streams import make_stream

CHUNK = 2000


def judge_many(numbers: range) -> tuple[Counter[str], list[str]]:
    """How often each rule was needed, and a line for each difference without one."""
    rules: Counter[str] = Counter()
    lines = []
    for number in numbers:
        stream = make_stream(number)
        found, left = judge(stream)
        rules.update(found)
        rules["streams with a fault"] += bool(stream.faults)
        for difference in left:
            what = f"ours {difference.ours!r:.80}, theirs {difference.theirs!r:.80}, faults {sorted(stream.faults)}"
            lines.append(f"stream {number}, {difference.reader}: {what}")
    return rules, lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="how many streams")
    parser.add_argument("--first", type=int, default=0, help="the number of the first")
    options = parser.parse_args()
    begin = time.monotonic()
    end = options.first + options.count
    chunks = [range(start, min(start + CHUNK, end)) for start in range(options.first, end, CHUNK)]
    rules: Counter[str] = Counter()
    unexplained = 0
    with Pool(os.cpu_count()) as pool:
        for found, lines in pool.imap_unordered(judge_many, chunks):
            rules += found
            unexplained += len(lines)
            for line in lines[:20]:
                print(line, flush=True)
    for rule, count in sorted(rules.items()):
        print(f"{count:9,} {rule}")
    print(f"{options.count:9,} streams in {time.monotonic() - begin:.0f} s, {unexplained} differences unexplained")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
