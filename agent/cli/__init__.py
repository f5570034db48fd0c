"""The command line: what people type. Everything but the daemon, which never imports this package.

Owns words, exit codes and what is printed; decides nothing about readings. `root` says where each command lives.
"""

from agent.cli.root import main

__all__ = ["main"]
