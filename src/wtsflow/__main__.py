"""The process's door: ``wtsflow`` and ``python -m wtsflow``."""

import sys


def main() -> int:
    """Run the command line and return the exit code; ``--version`` answers without more imports."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from wtsflow import __version__

        sys.stdout.write(f"wtsflow {__version__}\n")
        return 0
    from wtsflow.cli.main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
