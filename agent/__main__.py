"""`climahub`, or `python -m agent`.

`climahub run` goes straight to the daemon, so that the command-line library never enters its memory; all else is
`agent.cli`.
"""

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:2] == ["run"]:
        from agent import daemon  # noqa: PLC0415 - each way imports only what it needs

        raise SystemExit(daemon.main(sys.argv[2:]))
    from agent.cli import main as command_line  # noqa: PLC0415

    command_line()


if __name__ == "__main__":
    main()
