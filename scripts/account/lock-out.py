#!/usr/bin/env python3
"""Say why somebody cannot log in to this Linux machine, as far as it may be known from here.

Looks, and changes nothing: account and shell, password state (`passwd -S`), expiry (`chage -l`),
failed logins that lock (`faillock`, `pam_tally2`), recent failures (`lastb`, the login log),
/etc/nologin and the home folder. What needs more rights than this run has is said to be unknown,
never guessed. Python 3.6 or newer.
"""

import argparse
import collections
import datetime
import json
import os
import re
import shutil
import stat
import subprocess
import sys

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.@\\-]{0,254}\$?\Z")
LOGS = ("/var/log/auth.log", "/var/log/secure")
LOG_BYTES = 4 * 1024 * 1024
CLOSED = ("/nologin", "/false")
FIND = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
OK, PROBLEM, UNKNOWN, NOTE = "ok", "problem", "unknown", "note"
EXIT = {"locked": 3, "no_account": 4}


def options():
    parser = argparse.ArgumentParser(description="Say why somebody cannot log in.")
    parser.add_argument("--user", required=True)
    parser.add_argument("--log", default="", help="the login log; default: where it usually is")
    given = parser.parse_args()
    if not NAME.match(given.user):
        parser.error("that is not an account's name")
    return given


class Findings:
    def __init__(self):
        self.all = []

    def add(self, check, state, detail, cure=""):
        found = collections.OrderedDict(check=check, state=state, detail=detail)
        if cure:
            found["cure"] = cure
        self.all.append(found)

    def has(self, check, state):
        return any(one["check"] == check and one["state"] == state for one in self.all)


def run(*line):
    """(exit code, output) of a program; (None, why) where it cannot be run."""
    path = shutil.which(line[0], path=FIND)
    if path is None:
        return None, "%s is not installed" % line[0]
    environ = dict(os.environ, LC_ALL="C", TZ="UTC")
    try:
        ended = subprocess.run([path] + list(line[1:]), stdin=subprocess.DEVNULL, env=environ,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, "%s: %s" % (line[0], error)
    said = ended.stdout.decode("utf-8", "replace").strip()
    if ended.returncode:
        return ended.returncode, ended.stderr.decode("utf-8", "replace").strip() or said
    return 0, said


def account(user, findings):
    """The fields of passwd(5), by every source that the machine knows (files, sssd, winbind)."""
    code, said = run("getent", "passwd", user)
    if code is None:
        findings.add("account", UNKNOWN, said)
        return None
    if code or said.count(":") < 6:
        findings.add("account", PROBLEM, "this machine knows no account %s" % user,
                     "check the spelling, and whether the directory can be reached")
        return None
    fields = said.split("\n")[0].split(":")
    findings.add("account", OK, "uid %s, home %s, shell %s" % (fields[2], fields[5], fields[6]))
    return fields


def password(user, findings):
    code, said = run("passwd", "-S", user)
    state = said.split()[1:2] if code == 0 else []
    if not state:
        findings.add("password", UNKNOWN, first(said) or "passwd -S said nothing")
    elif state[0] in ("L", "LK"):
        findings.add("password", PROBLEM, "the password is locked (a login by key may still work)",
                     "find out who locked it, then: usermod -U %s" % user)
    elif state[0] in ("NP",):
        findings.add("password", PROBLEM, "there is no password", "set one: passwd %s" % user)
    elif state[0] in ("P", "PS"):
        findings.add("password", OK, "a usable password is set")
    else:
        findings.add("password", UNKNOWN, "passwd -S says %s" % state[0])


def expiry(user, findings):
    code, said = run("chage", "-l", user)
    if code != 0:
        findings.add("expiry", UNKNOWN, first(said))
        return
    pairs = dict((key.strip().lower(), value.strip()) for key, _, value in
                 (line.partition(":") for line in said.splitlines()))
    today = datetime.datetime.now(datetime.timezone.utc).date()
    state, words, cure = OK, [], ""
    for key, what, mend in (
        ("account expires", "the account expired", "chage -E -1 %s, if its owner agrees" % user),
        ("password expires", "the password expired", "the user must set a new one"),
        ("password inactive", "the password was inactive for too long", "passwd %s" % user),
    ):
        value = pairs.get(key, "")
        day = date(value)
        if value == "password must be changed":
            state, cure = PROBLEM, "the user must set a new one at a console or by self-service"
            words.append("the password must be changed at the next login")
            break
        if day is None:
            continue
        if day <= today:
            state, cure = PROBLEM, cure or mend
            words.append("%s on %s" % (what, day))
        else:
            words.append("%s: %s" % (key, day))
    findings.add("expiry", state, "; ".join(words) or "nothing expires", cure)


def date(text):
    months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
    found = re.match(r"([A-Z][a-z]{2}) (\d{1,2}), (\d{4})\Z", text)
    if not found or found.group(1) not in months:
        return None
    return datetime.date(int(found.group(3)), months.index(found.group(1)) + 1,
                         int(found.group(2)))


def tally(user, findings):
    """Failed logins that PAM counts; so many of them lock the account for a while."""
    code, said = run("faillock", "--user", user)
    if code is None:
        code, said = run("pam_tally2", "--user", user)
        if code is None:
            findings.add("lock-out", UNKNOWN, "neither faillock nor pam_tally2 is installed")
            return
        rows = re.findall(r"(?m)^\S+\s+(\d+)\s", said) if code == 0 else []
        if not rows:
            findings.add("lock-out", UNKNOWN, first(said))
            return
        failures = int(rows[0])
        reset = "pam_tally2 --user %s --reset" % user
    else:
        if code != 0:
            findings.add("lock-out", UNKNOWN, first(said))
            return
        failures = len(re.findall(r"(?m)^\d{4}-\d\d-\d\d .*\bV\s*$", said))
        reset = "faillock --user %s --reset" % user
    deny = limit()
    if failures >= deny:
        findings.add("lock-out", PROBLEM, "%d failed logins, and %d lock the account"
                     % (failures, deny), "find where they come from first, then: " + reset)
    else:
        findings.add("lock-out", OK, "%d failed logins of %d that lock" % (failures, deny))


def limit():
    try:
        with open("/etc/security/faillock.conf") as file:
            found = re.findall(r"(?m)^\s*deny\s*=\s*(\d+)", file.read())
    except OSError:
        found = []
    return int(found[-1]) if found else 3


def failures(given, findings):
    """Where wrong passwords come from: a forgotten phone or service is the usual cause."""
    code, said = run("lastb", "-w", "-n", "200", given.user)
    places = collections.Counter()
    if code == 0:
        for line in said.splitlines():
            parts = line.split()
            if len(parts) > 2 and parts[0] == given.user:
                places[parts[2] if re.search(r"[.:]", parts[2]) else "this machine"] += 1
    log, trouble = tail(given.log)
    pattern = re.compile(
        r"(?:Failed \S+ for (?:invalid user )?%s from (\S+)"
        r"|authentication failure;.*?rhost=(\S*)\s+user=%s(?:\s|$))"
        % (re.escape(given.user), re.escape(given.user)))
    for found in pattern.finditer(log):
        places[found.group(1) or found.group(2) or "this machine"] += 1
    if places:
        words = ", ".join("%d from %s" % (count, place) for place, count in places.most_common(5))
        findings.add("failures", NOTE, words, "look there for an old saved password")
    elif code == 0 or log:
        findings.add("failures", OK, "no failed logins were recorded")
    else:
        findings.add("failures", UNKNOWN, "; ".join(filter(None, (first(said), trouble))))
    return [{"from": place, "count": count} for place, count in places.most_common(20)]


def tail(named):
    for path in (named,) if named else LOGS:
        try:
            with open(path, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - LOG_BYTES))
                return file.read(LOG_BYTES).decode("utf-8", "replace"), ""
        except OSError as error:
            trouble = "%s: %s" % (path, error.strerror)
    return "", trouble


def way_in(fields, findings):
    shell, home = fields[6].strip(), fields[5]
    if shell.endswith(CLOSED):
        findings.add("shell", PROBLEM, "the shell is %s: nobody logs in with it" % shell,
                     "if this is a person's account: chsh -s /bin/bash %s" % fields[0])
    elif shell and not os.access(shell, os.X_OK):
        findings.add("shell", PROBLEM, "the shell %s cannot be run" % shell, "install or change it")
    else:
        findings.add("shell", OK, shell or "the usual one")
    if os.path.exists("/etc/nologin"):
        findings.add("nologin", PROBLEM, "/etc/nologin keeps everybody but root out",
                     "ask who is at work on this machine")
    try:
        status = os.stat(home)
    except PermissionError:
        findings.add("home", UNKNOWN, "%s may not be looked at" % home)
    except OSError as error:
        findings.add("home", PROBLEM, "%s: %s" % (home, error.strerror), "is it mounted?")
    else:
        open_to_all = stat.S_IMODE(status.st_mode) & 0o022
        if str(status.st_uid) != fields[2]:
            findings.add("home", PROBLEM, "%s belongs to user %d" % (home, status.st_uid),
                         "chown it, once you know why")
        elif open_to_all:
            findings.add("home", PROBLEM, "others can write %s: sshd refuses its keys" % home,
                         "chmod go-w %s" % home)
        else:
            findings.add("home", OK, home)


def first(text):
    return text.splitlines()[0][:200] if text else ""


def verdict(findings):
    if findings.has("account", PROBLEM):
        return "no_account"
    if findings.has("lock-out", PROBLEM) or findings.has("password", PROBLEM):
        return "locked"
    if any(one["state"] == PROBLEM for one in findings.all):
        return "hindered"
    if any(one["state"] == UNKNOWN for one in findings.all):
        return "unknown"
    return "clear"


def main():
    given, findings, places = options(), Findings(), []
    fields = account(given.user, findings)
    if fields:
        password(given.user, findings)
        expiry(given.user, findings)
        tally(given.user, findings)
        way_in(fields, findings)
    if fields or findings.has("account", UNKNOWN):
        places = failures(given, findings)
    said = verdict(findings)
    for one in findings.all:
        print("%-8s %-9s %s" % (one["state"], one["check"], one["detail"]))
    cures = [one["cure"] for one in findings.all if one["state"] == PROBLEM and "cure" in one]
    for cure in cures:
        print("next: " + cure)
    give({"verdict": said, "findings": findings.all, "failures": places, "next": cures})
    return EXIT.get(said, 0)


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
