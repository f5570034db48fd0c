"""A zone has one name in every interface: that of its space, where the owner wants it."""

from pathlib import Path

import pytest

from agent.home.home import Home
from agent.home.spaces import SpaceChange
from tests.unit.home.home_bench import HomeBench, make_home


def named(bench: HomeBench, directory: Path, *, names_follow_spaces: bool) -> Home:
    return make_home(bench.climate, bench.clock, directory, names_follow_spaces=names_follow_spaces)


def names(home: Home) -> tuple[list[str], list[str]]:
    return [each.name for each in home.thermostats.all()], [each.name for each in home.devices.all()][1:]


@pytest.mark.parametrize("follows", [False, True])
async def test_the_name_is_that_of_the_space_where_it_is_wanted(tmp_path: Path, *, follows: bool) -> None:
    home = named(HomeBench(tmp_path), tmp_path, names_follow_spaces=follows)
    assert names(home) == (["living", "bath"], ["living", "bath"])
    salon = await home.spaces.create("Salon")
    await home.spaces.place(salon, ["living"], known=["living", "bath"])
    expected = ["Salon" if follows else "living", "bath"]
    assert names(home) == (expected, expected)
    again = named(HomeBench(tmp_path), tmp_path, names_follow_spaces=follows)
    assert names(again) == (expected, expected)
    assert home.thermostats.get("living").zone_id == "living"
    await home.spaces.update(salon, SpaceChange(name="Stube"))
    assert names(home)[0][0] == ("Stube" if follows else "living")


def test_spaces_are_read_where_somebody_wants_them_and_by_one_loop(tmp_path: Path) -> None:
    bench = HomeBench(tmp_path)
    assert "spaces" not in named(bench, tmp_path, names_follow_spaces=False).loops()
    assert "spaces" in named(bench, tmp_path, names_follow_spaces=True).loops()
