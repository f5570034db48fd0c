"""A network namespace of its own at the other end of a virtual line."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def new_namespace() -> Iterator[int]:
    """Make a network namespace, as root, and keep it while the context is open.

    Yields:
        The id of a process inside, for "ip link set ... netns" and "nsenter --net --target". It is inside already: with
        the id of one that is still about to enter, ip would move the line's end nowhere.
    """
    # It ends with its standard input, so that it goes with this process however that ends, and keeps no pipe open.
    held = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo inside; read end"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert held.stdin is not None
    assert held.stdout is not None
    try:
        if held.stdout.readline() != b"inside\n":
            raise RuntimeError("unshare made no network namespace: run this as root")
        yield held.pid
    finally:
        held.stdin.close()
        held.wait()
        held.stdout.close()
