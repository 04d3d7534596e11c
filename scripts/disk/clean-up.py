#!/usr/bin/env python3
"""Find old, big files below named folders and, only when told so, delete them.

Careful on purpose: it looks only below the folders it is given and refuses those that a system
lives in; it follows no symbolic link and stays on each folder's own file system; it leaves files
alone that a process has open (deleting those frees nothing); it deletes by directory handle, so
that a folder swapped for a link meanwhile is not followed; and it never removes a folder.

Python 3.6 or newer, nothing else.
"""

import argparse
import fnmatch
import heapq
import json
import os
import shutil
import stat
import sys
import time

PROTECTED = {
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/opt", "/proc",
    "/root", "/run", "/sbin", "/srv", "/sys", "/usr", "/usr/bin", "/usr/lib", "/usr/local",
    "/usr/sbin", "/usr/share", "/var", "/var/lib", "/var/spool", "/Applications", "/Library",
    "/System", "/Users", "/private", "/private/etc", "/private/var",
}
NEVER_BELOW = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/sbin",
               "/sys", "/usr", "/System", "/private/etc")
MIB = 1024 * 1024
LISTED = 20
PARTLY = 3


def options():
    parser = argparse.ArgumentParser(description="Find old, big files and delete them when told so.")
    parser.add_argument("--folders", nargs="+", required=True, help="absolute paths to look below")
    parser.add_argument("--names", nargs="+", default=["*"], help="shell patterns of file names")
    parser.add_argument("--older-than-days", type=float, default=30)
    parser.add_argument("--larger-than-mib", type=float, default=0)
    parser.add_argument("--most", type=int, default=10000, help="delete no more files than this")
    parser.add_argument("--delete", action="store_true", help="delete; default: only look")
    parser.add_argument("--check", action="store_true", help="say what --delete would delete")
    given = parser.parse_args()
    if given.older_than_days < 0 or given.larger_than_mib < 0 or given.most < 0:
        parser.error("ages, sizes and counts are not negative")
    return given


def checked(folders):
    """The real paths of the folders; stops when one of them must not be cleaned."""
    found = []
    for folder in folders:
        if not os.path.isabs(folder):
            sys.exit("clean-up: %r is not an absolute path" % folder)
        real = os.path.realpath(folder)
        if real in PROTECTED or any(real.startswith(top + "/") for top in NEVER_BELOW):
            sys.exit("clean-up: %s is part of the system: it is not cleaned" % real)
        if not os.path.isdir(real):
            sys.exit("clean-up: there is no folder %s" % folder)
        found.append(real)
    return [real for real in sorted(set(found)) if not any(
        real.startswith(other + "/") for other in found)]


def open_files():
    """(device, inode) of the files that processes have open, as far as we may see (Linux)."""
    found = set()
    try:
        pids = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return found
    for pid in pids:
        try:
            for name in os.listdir("/proc/%s/fd" % pid):
                try:
                    status = os.stat("/proc/%s/fd/%s" % (pid, name))
                except OSError:
                    continue
                if stat.S_ISREG(status.st_mode):
                    found.add((status.st_dev, status.st_ino))
        except OSError:
            continue
    return found


def candidates(folder, given, now, busy, unreadable):
    """(bytes, path, directory handle, name) of what fits, while the handle is open."""
    device = os.stat(folder).st_dev
    for path, names, files, handle in os.fwalk(
        folder, follow_symlinks=False, onerror=lambda error: unreadable.append(error.filename)
    ):
        names[:] = [name for name in names if same_device(name, handle, device)]
        for name in files:
            if not any(fnmatch.fnmatch(name, pattern) for pattern in given.names):
                continue
            try:
                status = os.stat(name, dir_fd=handle, follow_symlinks=False)
            except OSError:
                continue
            if not stat.S_ISREG(status.st_mode):
                continue
            size = status.st_blocks * 512
            old = now - status.st_mtime >= given.older_than_days * 86400
            big = size >= given.larger_than_mib * MIB
            if old and big and (status.st_dev, status.st_ino) not in busy:
                yield size if status.st_nlink == 1 else 0, os.path.join(path, name), handle, name


def same_device(name, handle, device):
    try:
        return os.stat(name, dir_fd=handle, follow_symlinks=False).st_dev == device
    except OSError:
        return False


def clean(folders, given):
    now, busy, unreadable = time.time(), open_files(), []
    found = bytes_found = deleted = freed = 0
    failed, biggest = [], []
    for folder in folders:
        for size, path, handle, name in candidates(folder, given, now, busy, unreadable):
            found += 1
            bytes_found += size
            heapq.heappush(biggest, (size, path))
            if len(biggest) > LISTED:
                heapq.heappop(biggest)
            if not given.delete or deleted >= given.most:
                continue
            if given.check:
                print("CHANGE delete %s (%.1f MiB)" % (printable(path), size / MIB))
                deleted += 1
                continue
            try:
                os.unlink(name, dir_fd=handle)
            except OSError as error:
                failed.append("%s: %s" % (path, error.strerror))
                continue
            deleted += 1
            freed += size
    if given.check:
        if not deleted:
            print("UNCHANGED")
        deleted = 0
    return {
        "found": found,
        "found_bytes": bytes_found,
        "deleted": deleted,
        "freed_bytes": freed,
        "biggest": [{"path": path, "bytes": size} for size, path in sorted(biggest, reverse=True)],
        "problems": (failed + ["%s: cannot be read" % path for path in unreadable])[:LISTED],
    }


def used_percent(folder):
    usage = shutil.disk_usage(folder)
    return round(100 * (usage.total - usage.free) / usage.total) if usage.total else 0


def main():
    given = options()
    folders = checked(given.folders)
    before = max(used_percent(folder) for folder in folders)
    answer = clean(folders, given)
    answer["used_percent_before"] = before
    answer["used_percent_after"] = max(used_percent(folder) for folder in folders)
    for entry in answer["biggest"]:
        print("%12d  %s" % (entry["bytes"], printable(entry["path"])))
    done = given.delete and not given.check
    print("%s %d of %d files, %.1f of %.1f MiB, in %s" % (
        "deleted" if done else "would delete",
        answer["deleted"] if done else answer["found"], answer["found"],
        (answer["freed_bytes"] if done else answer["found_bytes"]) / MIB,
        answer["found_bytes"] / MIB, ", ".join(printable(folder) for folder in folders)))
    for problem in answer["problems"]:
        print("clean-up: " + printable(problem), file=sys.stderr)
    give(answer)
    return PARTLY if answer["problems"] else 0


def printable(text):
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text.replace("\n", "\\n").replace("\r", "\\r")


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
