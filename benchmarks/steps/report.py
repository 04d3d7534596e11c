"""Twenty lines and a JSON result, as a check that people run on a fleet."""

import json
import os
import sys

disk = os.statvfs("/")
used = 100 - 100 * disk.f_bavail // disk.f_blocks
for number in range(20):
    print(f"check {number:02d}: ok, {used}% of / in use")
json.dump(
    {
        "marker": "wtsflow-report-done",
        "python": sys.version.split()[0],
        "used": used,
        "user": os.getuid(),
    },
    sys.stdout,
)
print()
