"""A key of the cloud that is given to the hub over its local API, and how it gets to root, who alone can store it.

The agent may write nothing of the system, so it leaves a request in `storage.run_dir` (memory, not the card), and a
unit of root's (`climahub-key-request.path`) takes it, removes it and answers in a directory of its own. The forms here
are those of the API, of that request and of that answer. No text of them repeats a key but `CloudKeyRequest.key` and
`StoreRequest.key`.
"""

from pathlib import Path

import msgspec

REQUEST_NAME = "key-request"
ANSWER_NAME = "answer.json"
FILE_BYTES_MAX = 4096
"""Of the request, and of the answer."""


def request_file(run_dir: Path) -> Path:
    """Return where the agent asks."""
    return run_dir / REQUEST_NAME


def answer_file(run_dir: Path) -> Path:
    """Return where root answers: outside of what the agent may write, so that no link leads root astray."""
    return run_dir.with_name(f"{run_dir.name}-key-request") / ANSWER_NAME


class CloudKeyRequest(msgspec.Struct):
    """A key of the cloud for this hub. A secret.

    Attributes:
        key: As the cloud has issued it.
        time_zone: Of the home, an IANA name, for the cloud; empty to leave it as it is.
        unchecked: Store the key although the cloud does not answer.
    """

    key: str
    time_zone: str = ""
    unchecked: bool = False

    def __repr__(self) -> str:
        return "CloudKeyRequest()"


class CloudKeyReport(msgspec.Struct, frozen=True):
    """What has become of a key. The hub restarts in a moment, to use it.

    Attributes:
        stored: In words, where it is.
        is_checked: The cloud takes it.
        time_zone: Of the home, as the cloud has it now; empty where that is not known.
        problem: What else has not worked; empty for nothing.
    """

    stored: str
    is_checked: bool
    time_zone: str = ""
    problem: str = ""


class StoreRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the agent asks of root. A secret.

    Attributes:
        id: The answer names it.
        key: To be stored.
    """

    id: str
    key: str

    def __repr__(self) -> str:
        return f"StoreRequest({self.id})"


class StoreAnswer(msgspec.Struct, frozen=True):
    """What root has done.

    Attributes:
        id: Of the request.
        is_stored: The key is stored, and the service restarts in a moment.
        text: Where the key is; else what to do, and why it is not stored.
    """

    id: str
    is_stored: bool
    text: str
