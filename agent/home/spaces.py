"""Spaces: the rooms, floors and houses that an owner names, as a tree, and which device is in which of them.

Owns `spaces.json`. Every change is on the disk before it is reported, or it has not happened. Must never decide on
heating: a space is a name and a place. What a change makes of the tree is decided by pure functions.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from agent.errors import Rejected
from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.lenient_json import decode_leniently
from agent.foundation.text import quote, sanitize
from agent.foundation.worker import Worker

FILE_NAME = "spaces.json"
FILE_BYTES_MAX = 512 * 1024
"""The largest tree, with every text in the longest form of UTF-8, takes 380 KiB."""

SPACES_MAX = 256
"""Spaces of one home."""

DEPTH_MAX = 12
"""Spaces from the top of the tree to the bottom. Each is two levels of JSON, and readers in the field, the hub's own
among them, take 32 levels."""

PLACES_MAX = 512
"""Devices that are in a space: 256 relayed sensors, the zones and the hub, with room for some that have gone."""

NAME_CHARACTERS_MAX = 64
MARKING_CHARACTERS_MAX = 32
DEVICE_ID_CHARACTERS_MAX = 96


class SpaceRefused(Rejected):
    """A change of the spaces that cannot be made; nothing has changed."""


class UnknownSpace(SpaceRefused):
    """There is no such space."""


class Space(msgspec.Struct, frozen=True):
    """One space.

    Attributes:
        space_id: Made by the hub, unique.
        name: For people; several spaces may have the same.
        parent_id: The space that it is part of; `None` at the top.
        marking: What it is, such as "bedroom" or "floor"; `None` where nobody said.
    """

    space_id: str
    name: str
    parent_id: str | None = None
    marking: str | None = None


class SpaceTree(msgspec.Struct, frozen=True):
    """Every space, and the places of devices.

    Attributes:
        spaces: By id, in the order in which they were made.
        places: The id of the space of each device that has one, by the device's id.
    """

    spaces: Mapping[str, Space] = {}
    places: Mapping[str, str] = {}

    def space_of(self, device_id: str) -> Space | None:
        """Return the space that a device is in."""
        return self.spaces.get(self.places.get(device_id, ""))

    def children(self, parent_id: str | None) -> Sequence[Space]:
        """Return the spaces that are directly part of another; those at the top for `None`."""
        return [space for space in self.spaces.values() if space.parent_id == parent_id]


class SpaceChange(msgspec.Struct, frozen=True):
    """Changes of one space; `None` leaves a member as it is."""

    name: str | None = None
    parent_id: str | None = None
    marking: str | None = None


def with_space(tree: SpaceTree, space: Space) -> SpaceTree:
    """Return a tree with one more space.

    Raises:
        UnknownSpace: There is no such parent.
        SpaceRefused: The name or marking cannot be used, the tree would be too deep, or there are too many spaces.
    """
    if len(tree.spaces) >= SPACES_MAX:
        raise SpaceRefused(f"use one of the spaces that are there: a hub keeps {SPACES_MAX}")
    _check_texts(space.name, space.marking)
    if space.parent_id is not None and _depth(tree, space.parent_id) >= DEPTH_MAX:
        raise SpaceRefused(f"choose a parent higher up: spaces are at most {DEPTH_MAX} deep")
    return msgspec.structs.replace(tree, spaces={**tree.spaces, space.space_id: space})


def with_change(tree: SpaceTree, space_id: str, change: SpaceChange) -> SpaceTree:
    """Return a tree with one space changed.

    Raises:
        UnknownSpace: There is no such space, or no such parent.
        SpaceRefused: Nothing would change by the request, a text cannot be used, the space would be part of itself, or
            the tree would be too deep.
    """
    space = _find(tree, space_id)
    if change == SpaceChange():
        raise SpaceRefused("give a name, a marking or a parent: there is nothing to change")
    name = space.name if change.name is None else change.name
    marking = space.marking if change.marking is None else change.marking
    _check_texts(name, marking)
    parent_id = space.parent_id if change.parent_id is None else change.parent_id
    if parent_id is not None and parent_id != space.parent_id:
        above = _path(tree, parent_id)
        if space_id in above:
            raise SpaceRefused(f"choose another parent: {quote(name)} would be part of itself")
        if len(above) + _height(tree, space_id) > DEPTH_MAX:
            raise SpaceRefused(f"choose a parent higher up: spaces are at most {DEPTH_MAX} deep")
    changed = Space(space_id, name, parent_id, marking)
    return msgspec.structs.replace(tree, spaces={**tree.spaces, space_id: changed})


def with_places(tree: SpaceTree, space_id: str, device_ids: Collection[str]) -> SpaceTree:
    """Return a tree with devices in a space, each in this one only.

    Raises:
        UnknownSpace: There is no such space.
        SpaceRefused: An id is too long, or there are too many places.
    """
    _find(tree, space_id)
    for device_id in device_ids:
        if not device_id or len(device_id) > DEVICE_ID_CHARACTERS_MAX:
            raise SpaceRefused(f"give the id of a device, of at most {DEVICE_ID_CHARACTERS_MAX} characters")
    places = {**tree.places, **dict.fromkeys(device_ids, space_id)}
    if len(places) > PLACES_MAX:
        raise SpaceRefused(f"put fewer devices into spaces: a hub keeps the places of {PLACES_MAX}")
    return msgspec.structs.replace(tree, places=places)


def with_known_devices(tree: SpaceTree, device_ids: Collection[str]) -> SpaceTree:
    """Return a tree without the places of devices that are no longer there, so that they take no room."""
    places = {device_id: space_id for device_id, space_id in tree.places.items() if device_id in device_ids}
    return tree if places == tree.places else msgspec.structs.replace(tree, places=places)


def repaired(tree: SpaceTree) -> tuple[SpaceTree, list[str]]:
    """Return a tree without what cannot be in one, and what was wrong: a manual change must not hang who walks it.

    A space whose parent is missing, part of itself, or too deep goes to the top; a place in no space is left out.
    """
    problems = []
    spaces: dict[str, Space] = {}
    for space_id, space in tree.spaces.items():
        parent_id = space.parent_id
        path = _path_or_none(tree, space_id)
        if path is None or len(path) > DEPTH_MAX:
            problems.append(f"{sanitize(space.name)} is at the top: its parent cannot be used")
            parent_id = None
        spaces[space_id] = Space(space_id, space.name, parent_id, space.marking)
    places = {device_id: space_id for device_id, space_id in tree.places.items() if space_id in spaces}
    if len(places) < len(tree.places):
        problems.append(f"{len(tree.places) - len(places)} devices were in spaces that are not there")
    return SpaceTree(spaces, places), problems


def _find(tree: SpaceTree, space_id: str) -> Space:
    space = tree.spaces.get(space_id)
    if space is None:
        raise UnknownSpace(f"read the spaces again: there is no space {quote(space_id)}")
    return space


def _path(tree: SpaceTree, space_id: str) -> list[str]:
    """Return the ids from a space up to the top."""
    path = [_find(tree, space_id).space_id]
    while (parent_id := tree.spaces[path[-1]].parent_id) is not None:
        path.append(parent_id)
    return path


def _path_or_none(tree: SpaceTree, space_id: str) -> list[str] | None:
    """Return the ids from a space up to the top; `None` where there is no way up."""
    path: list[str] = []
    here: str | None = space_id
    while here is not None:
        if here in path or here not in tree.spaces:
            return None
        path.append(here)
        here = tree.spaces[here].parent_id
    return path


def _depth(tree: SpaceTree, space_id: str) -> int:
    return len(_path(tree, space_id))


def _height(tree: SpaceTree, space_id: str) -> int:
    """Return how many levels a space has with all that is part of it."""
    return 1 + max((_height(tree, child.space_id) for child in tree.children(space_id)), default=0)


def _check_texts(name: str, marking: str | None) -> None:
    if not name.strip() or sanitize(name, characters_max=NAME_CHARACTERS_MAX) != name:
        raise SpaceRefused(f"give a name of 1 to {NAME_CHARACTERS_MAX} printable characters, not {quote(name)}")
    if marking is not None and sanitize(marking, characters_max=MARKING_CHARACTERS_MAX) != marking:
        raise SpaceRefused(
            f"give a marking of at most {MARKING_CHARACTERS_MAX} printable characters, not {quote(marking)}"
        )


class Spaces:
    """The tree of this home, kept over restarts."""

    def __init__(self, directory: Path, *, disk: Disk, worker: Worker, new_id: Callable[[], str]) -> None:
        """Read the file. Blocks.

        Args:
            directory: Where `spaces.json` is.
            disk: Reads and writes the file.
            worker: Runs what blocks.
            new_id: Makes the part of an id that is unique.
        """
        self._new_id = new_id
        self._store: JsonStore[SpaceTree] = JsonStore(
            directory / FILE_NAME,
            SpaceTree(),
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            loss="rooms and floors have to be named again",
            decode=_decode,
        )
        self._store.load()

    @property
    def tree(self) -> SpaceTree:
        """The spaces and places in force."""
        return self._store.value

    @property
    def problem(self) -> str:
        """What was wrong with the file; empty where nothing was."""
        return self._store.problem

    async def read_again(self) -> None:
        """Read a file that the disk did not give at the start, as often as the disk needs."""
        await self._store.retry_read(lambda _, found: found)

    def on_change(self, listener: Callable[[SpaceTree], None]) -> None:
        """Have ``listener`` called with each new tree."""
        self._store.on_change(listener)

    async def create(self, name: str, *, parent_id: str | None = None, marking: str | None = None) -> str:
        """Add a space and return its id.

        Raises:
            SpaceRefused: See `with_space`.
            StorageFull: The disk refuses; there is no such space.
        """
        space = Space(f"space-{self._new_id()}", name, parent_id, marking)
        await self._store.commit(lambda tree: with_space(tree, space))
        return space.space_id

    async def update(self, space_id: str, change: SpaceChange) -> None:
        """Change a space.

        Raises:
            SpaceRefused: See `with_change`.
            StorageFull: The disk refuses; nothing has changed.
        """
        await self._store.commit(lambda tree: with_change(tree, space_id, change))

    async def place(self, space_id: str, device_ids: Collection[str], *, known: Collection[str]) -> None:
        """Put devices into a space, all or none.

        Args:
            space_id: The space.
            device_ids: The devices.
            known: Every device that there is: the places of others make room.

        Raises:
            SpaceRefused: See `with_places`.
            StorageFull: The disk refuses; nothing has changed.
        """
        await self._store.commit(lambda tree: with_places(with_known_devices(tree, known), space_id, device_ids))


def _decode(data: bytes, left_out: list[str]) -> SpaceTree:
    found, lost = decode_leniently(data, SpaceTree)
    tree, problems = repaired(found)
    left_out += [*lost, *problems]
    return tree
