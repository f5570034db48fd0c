"""The report of a board: what is there is told, what fails is told too, and nothing that somebody would keep secret."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import pytest

from lab.board import lines
from lab.board.__main__ import check, main, parser
from lab.board.machine import section
from lab.board.report import LINES_MAX, Section, as_text, spread
from tests.unit.hal.linux.conftest import Machine

SECRETS = ("100000003d1e7f6a", "raspberry-of-anna", "AnnasHome", "dc:a6:32:01:02:03")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A Pi 4 with an SHT31 by the kernel, a LED, a UPS, and everything that must not be told."""
    machine = Machine(tmp_path)
    machine.hwmon(0, machine.i2c("0044", driver="sht3x"), name="sht3x", temp1_input="21340", humidity1_input="47210")
    machine.wireless("wlan0: 0000 54. -56. -256")
    tree = machine.sys / "firmware" / "devicetree" / "base"
    machine.write(tree, model="Raspberry Pi 4 Model B Rev 1.4")
    (tree / "serial-number").write_text(SECRETS[0])
    machine.write(
        machine.sys / "class" / "leds" / "ACT", trigger="none [mmc0] timer", brightness="0", max_brightness="255"
    )
    machine.write(
        machine.sys / "class" / "power_supply" / "ups", type="Battery", capacity="80", serial_number=SECRETS[0]
    )
    machine.write(machine.sys / "class" / "net" / "wlan0", address=SECRETS[3], operstate="up")
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "os-release").write_text('PRETTY_NAME="Debian GNU/Linux 12"\n')
    (etc / "hostname").write_text(SECRETS[1])
    (etc / "wpa_supplicant.conf").write_text(SECRETS[2])
    (tmp_path / "dev").mkdir()
    return tmp_path


async def test_the_report_tells_what_is_there_and_no_secret(root: Path, tmp_path: Path) -> None:
    report = await check(parser().parse_args(["--directory", str(tmp_path)]), root)
    for words in (
        "model: Raspberry Pi 4 Model B Rev 1.4",
        "system: Debian GNU/Linux 12",
        "throttling: cannot be known on this kernel",
        "ups: type Battery, capacity 80",
        "ACT: trigger mmc0, brightness 0 of 255",
        "i2c-1-0044/sht3x/temperature (sht3x): 21.34, 21.34, 21.34 °C; median",
        "4 KiB written, synced and renamed: median",
        "late by median",
    ):
        assert words in report
    assert [secret for secret in SECRETS if secret in report] == []
    assert "== lines" not in report
    assert "== LED\n" not in report


async def test_a_led_blinks_on_request_and_is_given_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLINK_S", 0.0)
    report = await check(parser().parse_args(["--directory", str(root), "--led", "ACT"]), root)
    assert report.count("on: reads 255 of 255") == lines.BLINKS
    assert "given back to mmc0" in report
    assert (root / "sys/class/leds/ACT/trigger").read_text() == "mmc0"


async def test_a_led_that_is_not_there_is_told(root: Path) -> None:
    report = await check(parser().parse_args(["--directory", str(root), "--led", "none"]), root)
    assert "! FileNotFoundError" in report


class Gpiod:
    """A chip with a line that follows, one in use, and one that something holds high."""

    def __init__(self) -> None:
        self.driven: list[tuple[int, str]] = []
        self.line = SimpleNamespace(
            Value=SimpleNamespace(ACTIVE="high", INACTIVE="low"),
            Direction=SimpleNamespace(INPUT="input", OUTPUT="output"),
            Bias=SimpleNamespace(PULL_UP="high", PULL_DOWN="low"),
        )

    def Chip(self, path: str) -> "Gpiod":  # noqa: N802 - as the package calls it
        assert path == "/dev/gpiochip0"
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def get_line_info(self, number: int) -> SimpleNamespace:
        if number > 53:
            raise ValueError("offset out of range")
        return SimpleNamespace(used=number == 17, consumer="climahub")

    def LineSettings(self, **settings: str) -> dict[str, str]:  # noqa: N802 - as the package calls it
        return settings

    def request_lines(self, chip: str, *, consumer: str, config: dict[int, dict[str, str]]) -> SimpleNamespace:
        assert (chip, consumer) == ("/dev/gpiochip0", lines.CONSUMER)
        ((number, settings),) = config.items()
        level = ["high" if number == 27 else settings.get("bias", "low")]

        def set_value(_: int, value: str) -> None:
            self.driven.append((number, value))
            if number != 27:
                level[0] = value

        return SimpleNamespace(set_value=set_value, get_value=lambda _: level[0], release=lambda: None)


@pytest.fixture
def gpiod(monkeypatch: pytest.MonkeyPatch) -> Gpiod:
    fake = Gpiod()
    monkeypatch.setitem(sys.modules, "gpiod", fake)
    monkeypatch.setitem(sys.modules, "gpiod.line", fake.line)
    return fake


def test_only_named_lines_are_driven_and_none_with_another_task(gpiod: Gpiod) -> None:
    held = "driven low DOES NOT FOLLOW"
    found = list(lines.try_lines("/dev/gpiochip0", [5, 2, 17, 27, 99], is_pi=True))
    assert found == [
        "line 5: driven low follows, driven high follows, driven low follows, pulled up follows, pulled down follows",
        "line 2: not tried, it has another task on this board",
        "line 17: not tried, in use by climahub",
        f"line 27: {held}, driven high follows, {held}, pulled up follows, pulled down is held by something",
        "line 99: ! offset out of range",
    ]
    assert {number for number, _ in gpiod.driven} == {5, 27}
    assert gpiod.driven[-1] == (27, "low")


def test_a_look_that_fails_tells_how_and_keeps_what_it_found() -> None:
    def look():  # type: ignore[no-untyped-def]  # noqa: ANN202
        yield "found"
        raise OSError(5, "Input/output error")

    assert section("bus", look) == Section("bus", ["found", "! OSError: [Errno 5] Input/output error"])


def test_sections_are_bounded_and_printable() -> None:
    text = as_text([Section("many", ["\x1b[31mred"] * (LINES_MAX + 5)), Section("none", [])])
    assert "and 5 more" in text
    assert "\x1b" not in text
    assert "nothing found" in text
    assert spread([]) == "not measured"


def test_the_command_writes_what_it_prints(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lab.board.__main__.ROOT", root)
    monkeypatch.setattr(check, "__defaults__", (root,))
    assert main(["--output", str(tmp_path / "report.txt"), "--directory", str(tmp_path)]) == 0
    assert (tmp_path / "report.txt").read_text() == capsys.readouterr().out
