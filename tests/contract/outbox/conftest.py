"""Every test runs against each way to open an outbox. Another implementation joins by one line in `OPENERS`."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.telemetry.outbox.protocol import Outbox
from tests.contract.outbox.bench import OPENERS, ZERO_UTC_MS, Bench, memory


@pytest.fixture(params=sorted(OPENERS))
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    opener, make_worker = OPENERS[request.param]
    with tempfile.TemporaryDirectory(dir=memory()) as root:
        made = Bench(Path(root), opener, make_worker())
        yield made
        await made.close()


@pytest.fixture
async def outbox(bench: Bench) -> Outbox:
    """An empty outbox in a boot whose clock is right from the start."""
    made = await bench.open()
    await made.anchor(now_ms=0, utc_ms=ZERO_UTC_MS)
    return made
