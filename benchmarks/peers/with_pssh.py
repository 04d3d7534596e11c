"""parallel-ssh (libssh2) with the script on standard input; one client, so connections are reused.

Run as a program, with the arguments of ``lean_paramiko.py``.
"""

import sys
from pathlib import Path

from pssh.clients import ParallelSSHClient

INTERPRETERS = {".sh": "sh -s", ".py": "python3 -"}


def main(arguments: list[str]) -> None:
    port, user, key_file, known_hosts, parallel, hosts_file, *steps = arguments
    del known_hosts  # its native client does not look at host keys
    hosts = Path(hosts_file).read_text(encoding="ascii").split()
    client = ParallelSSHClient(
        hosts,
        user=user,
        port=int(port),
        pkey=key_file,
        pool_size=int(parallel),
        allow_agent=False,
        identity_auth=False,
    )
    for step in steps:
        script = Path(step).read_text(encoding="utf-8")
        outputs = client.run_command(INTERPRETERS[Path(step).suffix])
        for output in outputs:
            output.stdin.write(script)
            output.stdin.flush()
            output.channel.send_eof()
        client.join(outputs)
        for output in outputs:
            for line in output.stdout:
                sys.stdout.write(f"{line}\n")
            if output.exit_code != 0:
                raise SystemExit(f"{output.host}: exit {output.exit_code}")


if __name__ == "__main__":
    main(sys.argv[1:])
