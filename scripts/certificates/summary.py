#!/usr/bin/env python3
"""Put what `scan.py` found on every host of a fleet into one table.

Reads one JSON object on standard input: `hosts` maps each host to its outcome and outputs, as
`steps.<id>.targets` does; `days` is how far ahead to look. Python 3.6 or newer.
"""

import json
import os
import sys


def main():
    given = json.load(sys.stdin)
    days = given.get("days", 30)
    rows, unread, counts = [], [], {"expired": 0, "critical": 0, "expiring": 0, "valid": 0}
    for host, said in sorted((given.get("hosts") or {}).items()):
        outputs = said.get("outputs") or {}
        if "certificates" not in outputs:
            unread.append({"host": host, "outcome": said.get("outcome", "unknown")})
            continue
        for one in outputs["certificates"]:
            counts[one["state"]] += 1
            if one["days"] < days:
                rows.append(dict(one, host=host))
    rows.sort(key=lambda row: (row["days"], row["host"], row["path"]))
    if rows:
        width = max(len(row["host"]) for row in rows)
        for row in rows:
            print("%s  %5d days  %-8s  %s  (%s)" % (
                row["host"].ljust(width), row["days"], row["state"], row["subject"], row["path"]))
    else:
        print("no certificate runs out within %g days" % days)
    for one in unread:
        print("%s: not read (%s)" % (one["host"], one["outcome"]))
    give({"due": rows, "unread": unread, "expired": counts["expired"],
          "critical": counts["critical"], "expiring": counts["expiring"],
          "valid": counts["valid"]})


def give(answer):
    """The outputs: to the file that wtsflow asks for, else as the last line."""
    text = json.dumps(answer)
    if os.environ.get("WTS_OUTPUT"):
        with open(os.environ["WTS_OUTPUT"], "w") as file:
            file.write(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
