"""The command line. Owns texts, exit codes and output; `root` has the table of commands.

The daemon never imports this package.
"""

from agent.cli.root import main

__all__ = ["main"]
