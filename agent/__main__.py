"""`climahub`, or `python -m agent`.

`climahub run --config FILE`, as the service is started, goes straight to the daemon, so that the command-line library
never enters its memory; with `--outputs-off`, as the service runs it afterwards, straight to the outputs, for a relay
may be on meanwhile. All else, its help and its typing errors included, is `agent.cli`.
"""

import sys
from pathlib import Path


def main() -> None:
    """Run the command line and exit with its code."""
    match sys.argv[1:]:
        case ["run", "--config", path] if not path.startswith("-"):
            from agent.foundation import lazy_imports  # noqa: PLC0415 - each way imports only what it needs

            lazy_imports.import_aiohttp()
            from agent import daemon  # noqa: PLC0415 - after that

            raise SystemExit(daemon.main(Path(path)))
        case ["run", "--config", path, "--outputs-off"] if not path.startswith("-"):
            from agent import outputs  # noqa: PLC0415 - as above

            raise SystemExit(outputs.main(Path(path)))
        case _:
            from agent.cli import main as command_line  # noqa: PLC0415

            command_line()


if __name__ == "__main__":
    main()
