#!/usr/bin/env python3
"""Pack named logs into one archive of bounded size, and print the end of each.

Takes files and the files directly in folders; follows a link only to a regular file. The newest
come first; what no longer fits is cut to its last part, then left out and named. The archive is
0600, appears under its name only when it is whole, and older ones of the same label beyond
`--keep` are removed. Python 3.6 or newer.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import re
import stat
import sys
import tarfile
import tempfile
import time

MIB = 1024 * 1024
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}\Z")


def options():
    parser = argparse.ArgumentParser(description="Pack named logs into one archive.")
    parser.add_argument("--paths", nargs="+", required=True, help="files, or folders of them")
    parser.add_argument("--into", required=True, help="folder for the archive")
    parser.add_argument("--label", default="logs", help="how the archive's name begins")
    parser.add_argument("--hours", type=float, default=24, help="only logs written since")
    parser.add_argument("--most-mib", type=float, default=20, help="bytes read, all together")
    parser.add_argument("--lines", type=int, default=20, help="last lines of each to print")
    parser.add_argument("--keep", type=int, default=3, help="archives of this label that stay")
    given = parser.parse_args()
    if not LABEL.match(given.label):
        parser.error("a label has letters, digits, '.', '_' and '-'")
    if given.most_mib <= 0 or given.lines < 0 or given.keep < 1:
        parser.error("sizes and counts are positive")
    given.into = os.path.expanduser(given.into)
    if not os.path.isabs(given.into):
        parser.error("--into is an absolute path, or begins with ~/")
    return given


def logs(paths, since, problems):
    """(mtime, size, path) of every log, newest first."""
    found = {}
    for path in paths:
        path = os.path.expanduser(path)
        try:
            if os.path.isdir(path):
                inside = [os.path.join(path, name) for name in os.listdir(path)]
            else:
                inside = [path]
        except OSError as error:
            problems.append("%s: %s" % (path, error.strerror))
            continue
        for name in inside:
            try:
                status = os.stat(name)
            except OSError as error:
                problems.append("%s: %s" % (name, error.strerror))
                continue
            if stat.S_ISREG(status.st_mode) and status.st_mtime >= since:
                found[os.path.realpath(name)] = (status.st_mtime, status.st_size)
    return sorted(((when, size, path) for path, (when, size) in found.items()), reverse=True)


def end_of(path, limit):
    """The last ``limit`` bytes, from the first whole line, and whether that is all of it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(22, "not a regular file any more")
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - limit))
        data = file.read(limit)
    if size <= limit:
        return data, True
    return data[data.find(b"\n") + 1:], False


def pack(found, given, archive, problems):
    taken, left, room = [], [], int(given.most_mib * MIB)
    for when, _, path in found:
        if room < 1:
            left.append(path)
            continue
        try:
            data, whole = end_of(path, room)
        except OSError as error:
            problems.append("%s: %s" % (path, error.strerror))
            continue
        room -= len(data) if whole else room
        entry = tarfile.TarInfo(path.lstrip("/"))
        entry.size, entry.mtime, entry.mode = len(data), int(when), 0o600
        archive.addfile(entry, io.BytesIO(data))
        taken.append({"path": path, "bytes": len(data), "whole": whole})
        show(path, data, given.lines)
    return taken, left


def show(path, data, lines):
    if lines:
        print("==> %s <==" % path.encode("utf-8", "backslashreplace").decode())
        for line in data.splitlines()[-lines:]:
            print(line[-2000:].decode("utf-8", "backslashreplace"))


def prune(given, name):
    """Only names that we make: <label>-<14 digits>.tar.gz."""
    mine = re.compile(re.escape(given.label) + r"-[0-9]{14}\.tar\.gz\Z")
    names = sorted(one for one in os.listdir(given.into) if mine.match(one) and one != name)
    for old in names[: max(0, len(names) - (given.keep - 1))]:
        os.unlink(os.path.join(given.into, old))


def main():
    given, problems = options(), []
    os.umask(0o077)
    os.makedirs(given.into, exist_ok=True)
    found = logs(given.paths, time.time() - given.hours * 3600, problems)
    name = "%s-%s.tar.gz" % (given.label, time.strftime("%Y%m%d%H%M%S", time.gmtime()))
    final = os.path.join(given.into, name)
    handle, temporary = tempfile.mkstemp(dir=given.into, prefix=".collecting-")
    try:
        with os.fdopen(handle, "wb") as file:
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                with tarfile.open(fileobj=packed, mode="w|") as archive:
                    taken, left = pack(found, given, archive, problems)
        os.rename(temporary, final)
    except BaseException:
        os.unlink(temporary)
        raise
    prune(given, name)
    with open(final, "rb") as file:
        content = file.read()
    for problem in problems:
        print("collect: " + problem, file=sys.stderr)
    print("%d logs, %d bytes packed in %s" % (len(taken), len(content), final))
    give({"archive": final, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
          "logs": taken, "left_out": left, "problems": problems})
    return 1 if problems and not taken else 0


def give(answer):
    """The outputs: to the file that wtsflow asks for, else as the last line."""
    text = json.dumps(answer)
    if os.environ.get("WTS_OUTPUT"):
        with open(os.environ["WTS_OUTPUT"], "w") as file:
            file.write(text)
    else:
        print(text)


if __name__ == "__main__":
    sys.exit(main())
