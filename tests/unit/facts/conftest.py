import pytest


@pytest.fixture(autouse=True)
def _closed(closed_connections: None) -> None:
    """Most of these tests leave a store to the end of its directory."""
