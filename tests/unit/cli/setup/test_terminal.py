"""The wizard's loop on a terminal, driven by a person made of lines."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from agent.cli.setup.terminal import Terminal, find_key_files, machine_time_zone
from agent.cli.setup.wizard import Facts

KEY = "cs_dev_" + "a1B2" * 8
FACTS = Facts(thermometers=["a", "b"])


class Person:
    """Types lines, and warms thermometer b in the third second of a watch."""

    def __init__(self, *lines: str, warms: bool = True) -> None:
        self.lines: Iterator[str] = iter(lines)
        self.said: list[str] = []
        self.hidden: list[str] = []
        self.slept = 0
        self.warms = warms

    def ask(self, prompt: str, is_secret: bool) -> str:
        self.said.append(prompt)
        if is_secret:
            self.hidden.append(prompt)
        return next(self.lines)

    def read(self) -> Mapping[str, float]:
        return {"a": 20.0, "b": 23.0 if self.warms and self.slept >= 3 else 20.0}

    def sleep(self, _: float) -> None:
        self.slept += 1

    def run(self) -> Mapping[str, str]:
        return Terminal(ask=self.ask, say=self.said.append, read=self.read, sleep=self.sleep).run(FACTS)


def test_thermometer_is_found_by_a_warm_hand() -> None:
    person = Person("", "https://a.example", KEY, "", "", "1", "", "17", "watch", "yes")
    given = person.run()
    assert given["zone1.sensor"] == "b"
    assert "it is b" in person.said
    assert "  2  b  20.0 °C" in person.said
    assert len(person.hidden) == 1
    assert KEY not in "\n".join(person.said)
    assert person.said[2].startswith("the root of its API"), "an empty line where there is no default is helped"


def test_watch_that_finds_nothing_ends_and_asks_again() -> None:
    person = Person("https://a.example", KEY, "", "", "1", "", "17", "watch", "1", "", warms=False)
    assert person.run()["zone1.sensor"] == "a"
    assert any("no thermometer has changed enough" in line for line in person.said)


def test_what_the_machine_knows(tmp_path: Path) -> None:
    assert machine_time_zone(tmp_path) == "UTC"
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/localtime").symlink_to("../usr/share/zoneinfo/Europe/Berlin")
    assert machine_time_zone(tmp_path) == "Europe/Berlin"
    assert find_key_files(tmp_path) == []
    (tmp_path / "media/me/STICK").mkdir(parents=True)
    (tmp_path / "media/me/STICK/hub.key").touch()
    assert find_key_files(tmp_path) == [str(tmp_path / "media/me/STICK/hub.key")]
