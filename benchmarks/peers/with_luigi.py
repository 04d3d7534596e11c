"""Luigi: ``with_luigi.py FOLDER RUNS STEPS`` prints the seconds it took.

Luigi keeps no journal: a task is done when its output is there. So each task leaves a file, written
and flushed to the disk with its folder, as whoever wants to go on after a power loss has to.
"""

import json
import os
import sys
import time
from pathlib import Path

import luigi


class Noop(luigi.Task):  # type: ignore[misc]
    """Nothing, durably; needs the one before."""

    folder = luigi.Parameter()
    run_number = luigi.IntParameter()
    number = luigi.IntParameter()

    def requires(self) -> "Noop | list[Noop]":
        if self.number:
            return Noop(self.folder, self.run_number, self.number - 1)
        return []

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(f"{self.folder}/{self.run_number}-{self.number}")

    def run(self) -> None:
        file = os.open(self.output().path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(file, b"done\n")
        os.fdatasync(file)
        os.close(file)
        folder = os.open(self.folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def main() -> None:
    folder, runs, steps = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    last = [Noop(str(folder), number, steps - 1) for number in range(runs)]
    began = time.perf_counter()
    luigi.build(last, local_scheduler=True, log_level="ERROR")
    took = time.perf_counter() - began
    if len(os.listdir(folder)) != runs * steps:
        sys.exit("the work was not done")
    print(json.dumps({"wall": took}))


if __name__ == "__main__":
    main()
