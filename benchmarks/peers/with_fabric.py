"""Fabric 3 as its documentation shows it: put the script, run it. A thread pool over hosts.

Run as a program, with the arguments of ``lean_paramiko.py``.
"""

import io
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fabric import Config, Connection

INTERPRETERS = {".sh": "sh", ".py": "python3"}


def main(arguments: list[str]) -> None:
    port, user, key_file, known_hosts, parallel, hosts_file, *steps = arguments
    del known_hosts  # Fabric adds unknown keys by itself: AutoAddPolicy

    def visit(host: str) -> str:
        config = Config(overrides={"load_ssh_configs": False})  # shared, it is not thread-safe
        settings = {"key_filename": key_file, "look_for_keys": False, "allow_agent": False}
        with Connection(
            host, user=user, port=int(port), config=config, connect_kwargs=settings
        ) as connection:
            output = []
            for number, step in enumerate(steps):
                name = f"/tmp/fabric-{host}-{number}{Path(step).suffix}"
                connection.put(io.BytesIO(Path(step).read_bytes()), name)
                done = connection.run(
                    f"{INTERPRETERS[Path(step).suffix]} {name}; rm -f {name}",
                    hide=True,
                    in_stream=False,
                )
                output.append(done.stdout)
            return "".join(output)

    hosts = Path(hosts_file).read_text(encoding="ascii").split()
    with ThreadPoolExecutor(int(parallel)) as pool:
        for output in pool.map(visit, hosts):
            sys.stdout.write(output)


if __name__ == "__main__":
    main(sys.argv[1:])
