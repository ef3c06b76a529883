"""Puts the tables and pictures of the last run into docs/benchmarks.md: ``python -m benchmarks.publish``."""

from __future__ import annotations

import re

from benchmarks.plots import PICTURES, draw
from benchmarks.results import Results
from benchmarks.servers import BUILT, ROOT
from benchmarks.table import write_tables

PAGE = ROOT / "docs" / "benchmarks.md"
PICTURE_FOLDER = ROOT / "docs" / "benchmarks"
BETWEEN = re.compile(r"(?<=<!-- results: begin -->\n).*(?=<!-- results: end -->)", re.DOTALL)


def main() -> None:
    """Reads the last run's JSON, draws, and writes between the marks of the page."""
    results = Results.load(BUILT / "results.json")
    draw(results, PICTURE_FOLDER)
    results.save(PICTURE_FOLDER / "results.json")
    pictures = [
        f"![{title}](benchmarks/{name}.svg)\n"
        for name, (title, _) in PICTURES.items()
        if (PICTURE_FOLDER / f"{name}.svg").exists()
    ]
    text = "\n".join([*pictures, write_tables(results).replace("\n## ", "\n### ")])
    PAGE.write_text(BETWEEN.sub(lambda _: text, PAGE.read_text()))


if __name__ == "__main__":
    main()
