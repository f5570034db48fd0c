"""The store and the reference model agree on random histories; `tests/bench/soak_facts.py` plays many more."""

import contextlib

import pytest

from tests.unit.facts import histories


def test_the_store_and_the_model_agree_on_every_view_of_random_histories() -> None:
    with contextlib.closing(histories.open_memory()) as connection:
        for seed in range(300):
            try:
                histories.play(seed, connection)
            except AssertionError as error:
                raise AssertionError(f"seed {seed}: {error}") from error


@pytest.mark.parametrize("has_index", [True, False])
def test_a_search_finds_what_the_view_shows(has_index: bool) -> None:
    for seed in range(100):
        with contextlib.closing(histories.open_memory()) as connection:
            histories.RandomHistory(seed, connection, changes_max=20, has_index=has_index).check_search()
