import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from agent.foundation import shutdown
from agent.foundation.shutdown import Terminal


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Give signals back to whoever runs the tests."""
    before = {number: signal.getsignal(number) for number in shutdown.IGNORED_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Terminals:
    def __init__(self, *files: int) -> None:
        self.files = set(files)

    def __call__(self, file: int) -> bool:
        return file in self.files


@pytest.mark.parametrize("files", [(), (0,), (2,), (0, 1, 2)])
def test_closed_terminal_is_detected_by_its_file_descriptors(files: tuple[int, ...]) -> None:
    terminals = Terminals(*files)
    terminal = Terminal(terminals)
    assert not terminal.is_gone()
    terminals.files.clear()
    assert terminal.is_gone() is bool(files)


UNSTOPPABLE = {signal.SIGKILL, signal.SIGSTOP}
HARMLESS = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
DEFECTS = {
    *(signal.SIGSEGV, signal.SIGILL, signal.SIGFPE, signal.SIGBUS, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS),
}


@pytest.mark.parametrize("number", sorted(signal.valid_signals() - UNSTOPPABLE - HARMLESS - DEFECTS))
async def test_no_signal_kills_the_hub_at_once(number: int) -> None:
    told: list[str] = []
    shutdown.handle_signals(
        stop=lambda: told.append("stop"), reload=lambda: told.append("reload"), terminal=Terminal(lambda _: False)
    )
    assert signal.getsignal(number) is not signal.SIG_DFL
    os.kill(os.getpid(), number)
    for _ in range(3):
        await asyncio.sleep(0)
    expected = ["stop"] if number in shutdown.STOP_SIGNALS else ["reload"] if number == signal.SIGHUP else []
    assert told == expected


async def test_sighup_of_a_closed_terminal_stops_in_order() -> None:
    terminals, told = Terminals(2), list[str]()
    shutdown.handle_signals(
        stop=lambda: told.append("stop"), reload=lambda: told.append("reload"), terminal=Terminal(terminals)
    )
    os.kill(os.getpid(), signal.SIGHUP)
    while not told:  # noqa: ASYNC110 - the loop learns of a signal through its own pipe
        await asyncio.sleep(0)
    terminals.files.clear()
    os.kill(os.getpid(), signal.SIGHUP)
    while len(told) == 1:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    assert told == ["reload", "stop"]
