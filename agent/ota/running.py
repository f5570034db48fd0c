"""Which release this process is, and how it makes way for another. Values only."""

from collections.abc import Callable

import msgspec

from agent.foundation.worker import Worker


class RunningRelease(msgspec.Struct, frozen=True):
    """The release that runs, as seen from outside.

    Attributes:
        version: Of this program.
        slot: Where it came from: "a", "b" or "base"; as the launcher said it.
        launcher: Version of the launcher; 0 where nobody launched it, and then nothing can be installed.
        machine: As `uname -m` says it.
        python: Tag of the interpreter.
        restart: Ends this process in good order, so that the service manager starts the launcher again.
        worker: Where bundles are hashed and unpacked, which takes long: not where readings are stored.
    """

    version: str
    slot: str
    launcher: int
    machine: str
    python: str
    restart: Callable[[], None]
    worker: Worker
