"""The tree of spaces: what a change makes of it, its limits, and its file over power cuts."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.foundation.disk import Disk, Operation
from agent.foundation.durable_file import CHECKSUM_BYTES
from agent.foundation.worker import InlineWorker
from agent.home import spaces
from agent.home.spaces import (
    DEPTH_MAX,
    FILE_BYTES_MAX,
    FILE_NAME,
    PLACES_MAX,
    SPACES_MAX,
    Space,
    SpaceChange,
    SpaceRefused,
    Spaces,
    SpaceTree,
    UnknownSpace,
    repaired,
    with_change,
    with_places,
    with_space,
)

HOUSE = Space("house", "House", None, "home")
FLOOR = Space("floor", "Upstairs", "house", "floor")
BEDROOM = Space("bedroom", "Bedroom", "floor", "bedroom")


@pytest.fixture
def tree() -> SpaceTree:
    return SpaceTree({space.space_id: space for space in (HOUSE, FLOOR, BEDROOM)})


def chain(depth: int) -> SpaceTree:
    tree = SpaceTree()
    for number in range(depth):
        tree = with_space(tree, Space(str(number), "space", str(number - 1) if number else None))
    return tree


def test_space_without_a_parent_is_at_the_top(tree: SpaceTree) -> None:
    assert tree.children(None) == [HOUSE]
    assert tree.children("house") == [FLOOR]


def test_parent_must_exist(tree: SpaceTree) -> None:
    with pytest.raises(UnknownSpace, match='no space "attic"'):
        with_space(tree, Space("new", "New", "attic"))


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "two\nlines", "\u202eback"])
def test_name_must_be_printable_and_short(tree: SpaceTree, name: str) -> None:
    with pytest.raises(SpaceRefused, match="printable"):
        with_space(tree, Space("new", name))
    with pytest.raises(SpaceRefused, match="printable"):
        with_change(tree, "house", SpaceChange(name=name))


def test_marking_must_be_printable_and_short(tree: SpaceTree) -> None:
    with pytest.raises(SpaceRefused, match="marking"):
        with_space(tree, Space("new", "New", None, "x" * 33))


def test_change_leaves_the_rest_as_it_was(tree: SpaceTree) -> None:
    changed = with_change(tree, "floor", SpaceChange(name="First floor"))
    assert changed.spaces["floor"] == Space("floor", "First floor", "house", "floor")
    assert changed.spaces["bedroom"] == BEDROOM


def test_change_without_a_change_is_refused(tree: SpaceTree) -> None:
    with pytest.raises(SpaceRefused, match="nothing to change"):
        with_change(tree, "floor", SpaceChange())


def test_space_moves_with_all_that_is_part_of_it(tree: SpaceTree) -> None:
    tree = with_space(tree, Space("annex", "Annex"))
    moved = with_change(tree, "floor", SpaceChange(parent_id="annex"))
    assert [space.space_id for space in moved.children("annex")] == ["floor"]
    assert moved.children("floor") == [BEDROOM]


@pytest.mark.parametrize("parent_id", ["house", "floor", "bedroom"])
def test_no_space_becomes_part_of_itself(tree: SpaceTree, parent_id: str) -> None:
    with pytest.raises(SpaceRefused, match="part of itself"):
        with_change(tree, "house", SpaceChange(parent_id=parent_id))


def test_depth_has_a_limit() -> None:
    deepest = chain(DEPTH_MAX)
    with pytest.raises(SpaceRefused, match="higher up"):
        with_space(deepest, Space("below", "Below", str(DEPTH_MAX - 1)))


def test_move_counts_what_moves_along() -> None:
    tree = chain(DEPTH_MAX - 1)
    tree = with_space(with_space(tree, Space("a", "A")), Space("b", "B", "a"))
    with pytest.raises(SpaceRefused, match="higher up"):
        with_change(tree, "a", SpaceChange(parent_id=str(DEPTH_MAX - 2)))
    assert with_change(tree, "a", SpaceChange(parent_id=str(DEPTH_MAX - 3))).spaces["a"].parent_id


def test_number_of_spaces_has_a_limit() -> None:
    tree = SpaceTree({str(number): Space(str(number), "space") for number in range(SPACES_MAX - 1)})
    tree = with_space(tree, Space("last", "Last"))
    with pytest.raises(SpaceRefused, match="256"):
        with_space(tree, Space("more", "More"))


def test_device_is_in_one_space_only(tree: SpaceTree) -> None:
    tree = with_places(tree, "floor", ["a", "b"])
    tree = with_places(tree, "bedroom", ["a"])
    assert tree.space_of("a") == BEDROOM
    assert tree.space_of("b") == FLOOR
    assert tree.space_of("c") is None


def test_places_have_a_limit(tree: SpaceTree) -> None:
    full = with_places(tree, "floor", [str(number) for number in range(PLACES_MAX)])
    assert len(with_places(full, "bedroom", ["0"]).places) == PLACES_MAX
    with pytest.raises(SpaceRefused, match="512"):
        with_places(full, "bedroom", ["one more"])
    with pytest.raises(SpaceRefused, match="96 characters"):
        with_places(tree, "bedroom", ["x" * 97])


def test_place_needs_a_space(tree: SpaceTree) -> None:
    with pytest.raises(UnknownSpace):
        with_places(tree, "attic", ["a"])


_IDS = st.sampled_from("abcdef")
_SPACES = st.dictionaries(_IDS, st.none() | _IDS | st.just("missing"))


@given(parents=_SPACES, places=st.dictionaries(_IDS, _IDS | st.just("missing")))
def test_repaired_tree_has_a_way_up_from_every_space(parents: dict[str, str | None], places: dict[str, str]) -> None:
    found = SpaceTree({space_id: Space(space_id, "space", parent) for space_id, parent in parents.items()}, places)
    tree, problems = repaired(found)
    reached: list[str | None] = [None]
    for above in reached:
        reached += [space.space_id for space in tree.children(above)]
    assert sorted(filter(None, reached)) == sorted(parents)
    assert tree.places.keys() == {device for device, space_id in places.items() if space_id in parents}
    assert bool(problems) == (tree != found)


def test_repaired_tree_keeps_to_the_depth() -> None:
    deep = {str(n): Space(str(n), "space", str(n - 1) if n else None) for n in range(DEPTH_MAX + 2)}
    tree, problems = repaired(SpaceTree(deep))
    assert {space.space_id for space in tree.children(None)} == {"0", str(DEPTH_MAX), str(DEPTH_MAX + 1)}
    assert len(problems) == 2


def open_spaces(directory: Path, disk: Disk | None = None) -> Spaces:
    numbers = itertools.count(1)
    return Spaces(directory, disk=disk or Disk(), worker=InlineWorker(), new_id=lambda: str(next(numbers)))


def _tree_of(directory: Path) -> SpaceTree:
    return Spaces(directory, disk=Disk(), worker=InlineWorker(), new_id=lambda: "").tree


async def test_spaces_and_places_survive_a_restart(tmp_path: Path) -> None:
    home = open_spaces(tmp_path)
    house = await home.create("House", marking="home")
    room = await home.create("Bedroom", parent_id=house)
    await home.place(room, ["zone.bedroom"], known=["zone.bedroom"])
    await home.update(room, SpaceChange(name="Guests"))
    again = open_spaces(tmp_path)
    assert again.tree == home.tree
    assert again.tree.space_of("zone.bedroom") == Space(room, "Guests", house)


async def test_places_of_devices_that_have_gone_make_room(tmp_path: Path) -> None:
    home = open_spaces(tmp_path)
    room = await home.create("Bedroom")
    await home.place(room, ["old"], known=["old"])
    await home.place(room, ["new"], known=["new"])
    assert home.tree.places == {"new": room}


async def test_refused_change_changes_nothing(tmp_path: Path) -> None:
    home = open_spaces(tmp_path)
    house = await home.create("House")
    before = home.tree
    with pytest.raises(SpaceRefused):
        await home.update(house, SpaceChange(parent_id=house))
    assert home.tree == before == open_spaces(tmp_path).tree


def test_largest_tree_fits_its_file(tmp_path: Path) -> None:
    wide = "\U0001f3e0"
    full = SpaceTree(
        {f"space-{n:036}": Space(f"space-{n:036}", wide * 64, f"space-{n:036}", wide * 32) for n in range(SPACES_MAX)},
        {f"{n:03}" + wide * 93: f"space-{n:036}" for n in range(PLACES_MAX)},
    )
    assert len(msgspec.json.encode(full)) + CHECKSUM_BYTES < FILE_BYTES_MAX


def test_damaged_space_costs_no_other(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(
        '{"spaces": {"a": {"space_id": "a", "name": "A"}, "b": {"space_id": "b", "name": 7}}, "places": {"d": "b"}}'
    )
    home = open_spaces(tmp_path)
    assert home.tree == SpaceTree({"a": Space("a", "A")})
    assert "spaces.b" in home.problem


class PowerCut(BaseException):
    """The world stops before one durable operation."""


def cut_before(operation_number: int) -> tuple[Disk, list[Operation]]:
    seen: list[Operation] = []

    def on_operation(operation: Operation, target: str) -> None:
        if len(seen) == operation_number:
            raise PowerCut
        seen.append(operation)

    return Disk(on_operation), seen


async def _changes(home: Spaces) -> None:
    house = await home.create("House")
    room = await home.create("Bedroom", parent_id=house)
    await home.place(room, ["a", "b"], known=["a", "b"])
    await home.update(room, SpaceChange(name="Guests", marking="bedroom"))


def _states() -> Iterator[SpaceTree]:
    """Yield the tree after each change in turn."""
    tree = SpaceTree()
    yield tree
    tree = with_space(tree, Space("space-1", "House"))
    yield tree
    tree = with_space(tree, Space("space-2", "Bedroom", "space-1"))
    yield tree
    tree = with_places(tree, "space-2", ["a", "b"])
    yield tree
    yield with_change(tree, "space-2", SpaceChange(name="Guests", marking="bedroom"))


async def test_power_cut_before_any_operation_leaves_a_whole_tree(tmp_path: Path) -> None:
    allowed = list(_states())
    cuts = 0
    for number in itertools.count():
        directory = tmp_path / str(number)
        directory.mkdir()
        disk, _ = cut_before(number)
        home = open_spaces(directory, disk)
        reported = home.tree
        in_force: list[SpaceTree] = []
        home.on_change(in_force.append)
        try:
            await _changes(home)
        except PowerCut:
            cuts += 1
            reported = home.tree
        else:
            assert _tree_of(directory) == allowed[-1]
            break
        assert all(tree in allowed for tree in in_force)
        after = open_spaces(directory)
        assert not after.problem
        assert after.tree in allowed
        assert allowed.index(after.tree) >= allowed.index(reported)
    assert cuts >= 4 * 4  # four changes, each at least written, synced, renamed and synced


def test_places_of_unknown_spaces_are_never_followed() -> None:
    assert SpaceTree({}, {"a": "gone"}).space_of("a") is None
    assert spaces.with_known_devices(SpaceTree({}, {}), ["a"]) == SpaceTree()
