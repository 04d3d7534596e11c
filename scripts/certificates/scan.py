#!/usr/bin/env python3
"""List the certificates in PEM files and say how long each is still valid.

Reads files and one level of folders; private keys beside the certificates are never read out.
Each certificate is decoded by `openssl` where that is installed, else by Python itself.

Python 3.6 or newer.
"""

import argparse
import calendar
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time

ENDINGS = (".pem", ".crt", ".cer", ".cert")
BLOCK = re.compile(
    r"-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\s]+?-----END CERTIFICATE-----", re.ASCII)
MOST_BYTES = 1024 * 1024
STATES = ("expired", "critical", "expiring", "valid")
EXIT = {"expired": 4, "critical": 3, "expiring": 3, "valid": 0}


def options():
    parser = argparse.ArgumentParser(description="Say how long the certificates are valid.")
    parser.add_argument("--paths", nargs="+", required=True, help="PEM files, or folders of them")
    parser.add_argument("--warn-days", type=float, default=30)
    parser.add_argument("--critical-days", type=float, default=7)
    return parser.parse_args()


def files(paths, problems):
    """Every file to read, once; a link (as certbot's `live` folder has) is followed to its file."""
    seen = set()
    for path in paths:
        if os.path.isdir(path):
            try:
                names = sorted(os.listdir(path))
            except OSError as error:
                problems.append("%s: %s" % (path, error.strerror))
                continue
            inside = [os.path.join(path, name) for name in names
                      if name.lower().endswith(ENDINGS)]
        else:
            inside = [path]
        for name in inside:
            real = os.path.realpath(name)
            if real in seen or (os.path.isdir(path) and not os.path.isfile(real)):
                continue
            seen.add(real)
            yield name


def blocks(path, problems):
    try:
        if not os.path.isfile(path):
            raise OSError(2, "there is no such file")
        if os.path.getsize(path) > MOST_BYTES:
            raise OSError(27, "too big for a PEM file")
        with open(path, encoding="ascii", errors="replace") as file:
            return BLOCK.findall(file.read())
    except OSError as error:
        problems.append("%s: %s" % (path, error.strerror))
        return []


def decoded(block):
    """subject, issuer, names, not_after (seconds since the epoch). Raises ValueError."""
    ssl.PEM_cert_to_DER_cert(block.replace("\r", "") + "\n")
    return by_openssl(block) if shutil.which("openssl") else by_python(block)


def by_openssl(block):
    line = ["openssl", "x509", "-noout", "-subject", "-issuer", "-enddate", "-nameopt",
            "RFC2253,-esc_msb,utf8"]
    for more in (["-ext", "subjectAltName"], []):  # before 1.1.1 there is no -ext
        ended = subprocess.run(line + more, input=block.encode(), stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, timeout=20)
        text = ended.stdout.decode("utf-8", "replace")
        said = dict(part.split("=", 1) for part in text.splitlines() if "=" in part)
        if ended.returncode == 0 and "notAfter" in said:
            break
    else:
        raise ValueError("openssl cannot decode it")
    return (said["subject"].strip(), said["issuer"].strip(),
            re.findall(r"(?:DNS|IP Address):([^,\s]+)", text), seconds(said["notAfter"]))


def by_python(block):
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(block + "\n")
        file.flush()
        try:
            said = ssl._ssl._test_decode_cert(file.name)
        except (AttributeError, ssl.SSLError):
            raise ValueError("it cannot be decoded without openssl")
    return (rdn(said["subject"]), rdn(said["issuer"]),
            [value for _, value in said.get("subjectAltName", ())], seconds(said["notAfter"]))


def rdn(parts):
    short = {"commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU",
             "countryName": "C", "localityName": "L", "stateOrProvinceName": "ST"}
    pairs = [pair for part in reversed(parts) for pair in part]
    return ",".join("%s=%s" % (short.get(name, name), value) for name, value in pairs)


def seconds(text):
    """`Jun  1 12:00:00 2027 GMT`, whatever the locale says months are called."""
    months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
    month, day, clock, year = text.split()[:4]
    hour, minute, second = clock.split(":")
    return calendar.timegm((int(year), months.index(month) + 1, int(day), int(hour), int(minute),
                            int(second)))


def state(days, given):
    if days < 0:
        return "expired"
    if days < given.critical_days:
        return "critical"
    return "expiring" if days < given.warn_days else "valid"


def main():
    given = options()
    now, found, problems, seen = time.time(), [], [], set()
    for path in files(given.paths, problems):
        for block in blocks(path, problems):
            if block in seen:
                continue
            seen.add(block)
            try:
                subject, issuer, names, end = decoded(block)
            except (ValueError, KeyError, subprocess.TimeoutExpired) as error:
                problems.append("%s: not a certificate: %s" % (path, error))
                continue
            days = int((end - now) // 86400)
            found.append({
                "path": path, "subject": subject, "issuer": issuer, "names": names,
                "not_after": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end)),
                "days": days, "state": state(days, given),
            })
    found.sort(key=lambda one: (one["days"], one["path"]))
    worst = min((one["state"] for one in found), key=STATES.index, default="none")
    for one in found:
        if one["state"] != "valid":
            print("%-8s %5d days  %s  %s" % (
                one["state"], one["days"], one["subject"], one["path"]))
    for problem in problems:
        print("scan: " + problem, file=sys.stderr)
    print("%d certificates, %d of them valid for %g days or more" % (
        len(found), sum(one["state"] == "valid" for one in found), given.warn_days))
    give({"certificates": found, "worst": worst, "problems": problems})
    if worst == "none":
        return 1 if problems else 0
    return EXIT[worst]


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
