"""`climahub`, or `python -m agent`.

The exact form in which the service starts the hub, `climahub run --config FILE`, runs the daemon without importing the
command line and its libraries. With `--outputs-off`, which the service runs afterwards, it only switches the outputs
off: a relay may still be on, so every import would cost time. Everything else is `agent.cli`.
"""

import sys
from pathlib import Path


def main() -> None:
    """Run the command line and exit with its code."""
    match sys.argv[1:]:
        case ["run", "--config", path] if not path.startswith("-"):
            from agent.foundation import memory  # noqa: PLC0415 - each form imports only what it needs

            with memory.importing():
                from agent.foundation import lazy_imports  # noqa: PLC0415

                lazy_imports.import_libraries()
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
