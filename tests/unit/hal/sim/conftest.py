"""A virtual event loop: a simulated day passes in milliseconds."""

import asyncio
from collections.abc import Callable, Iterator

import async_solipsism
import pytest


@pytest.fixture
def virtual_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = async_solipsism.EventLoop()
    yield loop
    loop.close()


@pytest.fixture
def monotonic_ms(virtual_loop: asyncio.AbstractEventLoop) -> Callable[[], int]:
    return lambda: round(virtual_loop.time() * 1000)
