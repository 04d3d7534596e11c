"""Run them, all or by name: ``python -m benchmarks [NAME …] [--peers VENV] [--write FILE]``.

With ``--write`` the tables go between the marks of a Markdown file, each under its own.
"""

import argparse
import re
import sys
from pathlib import Path

from benchmarks import costs, engine, fanout, live, startup, validate
from benchmarks.measure import machine, note

BENCHMARKS = ("startup", "validate", "live", "engine", "fanout", "costs")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--peers", default=".venv-bench", help="the peers' virtual environment")
    parser.add_argument("--write", type=Path, help="a Markdown file with marks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    given = parser.parse_args()
    if unknown := set(given.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    runs = {
        "startup": lambda: startup.main(["--peers", given.peers]),
        "validate": lambda: validate.main([]),
        "live": lambda: live.main([]),
        "engine": lambda: engine.main(["--peers", given.peers]),
        "fanout": lambda: fanout.main(["--peers", given.peers]),
        "costs": lambda: costs.main([]),
    }
    for name in given.names or BENCHMARKS:
        note(f"== {name}")
        where = machine()
        text = f"{where}\n\n{runs[name]().strip()}"
        print(f"## {name}\n\n{text}\n", flush=True)
        if given.write:
            given.write.write_text(
                replaced(given.write.read_text(encoding="utf-8"), name, text), encoding="utf-8"
            )


def replaced(page: str, name: str, text: str) -> str:
    """The page with ``text`` between the marks of ``name``."""
    begin, end = f"<!-- benchmark: {name} -->", f"<!-- end: {name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(page):
        sys.exit(f"the page has no marks for {name}")
    return pattern.sub(lambda _: f"{begin}\n\n{text}\n\n{end}", page)


if __name__ == "__main__":
    main()
