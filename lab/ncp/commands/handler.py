"""The shape of a command's function, and the answer that most commands have. Data only."""

from collections.abc import Callable, Mapping
from typing import Any

from lab.ncp.coordinator import Coordinator
from lab.ncp.ezsp import Status

Fields = Mapping[str, Any]
"""Arguments or answer, by the field names of EZSP v14 and later. Their types come from the tables of bellows."""
Handler = Callable[[Coordinator, Fields], Fields]


def success(coordinator: Coordinator, arguments: Fields) -> Fields:
    """Answer a command that has no effect an emulated stick could show."""
    del coordinator, arguments
    return {"status": Status.OK}


def status(code: Status) -> Fields:
    """Answer with nothing but a status."""
    return {"status": code}
