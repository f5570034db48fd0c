"""The drop-in that setup writes: what the configuration needs and no more, in the words of the shipped drop-ins."""

from pathlib import Path

from agent.cli.setup.drop_in import DECRYPTED_KEY, KEY_UNIT, Needs, drop_in_text, needs_of
from agent.config import Config, resolve_text

SYSTEMD = Path(__file__).parents[4] / "systemd"
RELAYS = """
[board]
name = "linux"
[board.linux]
relays = [{ name = "a", heat_line = 17 }, { name = "b", heat_line = "i2c-3-0020/pcf8574/0" }]
[zigbee]
port = "auto"
"""


def config(text: str) -> Config:
    return resolve_text(
        f'[cloud]\nbase_url = "https://a.example"\n{text}', file="", directory=Path(), environ={}
    ).config


def test_hub_with_kernel_sensors_only_needs_none() -> None:
    needs = needs_of(config(""), ["w1_bus_master1", ""])
    assert needs == Needs()
    assert drop_in_text(needs, ["i2c"]) == ""


def test_each_need_is_opened_as_the_shipped_drop_ins_open_it() -> None:
    text = drop_in_text(needs_of(config(RELAYS), ["i2c-1"]), ["i2c", "gpio", "dialout"])
    shipped = {
        line for name in ("i2c", "gpio") for line in (SYSTEMD / f"climahub-{name}.conf").read_text().splitlines()
    }
    shipped |= set((SYSTEMD / "zigbee.conf").read_text().splitlines()) | {"DeviceAllow=/dev/i2c-3 rw"}
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if line not in shipped] == []
    assert len(lines) == len(set(lines)) == 11


def test_group_that_the_machine_lacks_is_left_out() -> None:
    text = drop_in_text(needs_of(config(RELAYS), ["i2c-1"]), ["dialout"])
    assert text.count("SupplementaryGroups=") == text.count("SupplementaryGroups=dialout") == 1


def test_encrypted_key_is_wanted_and_not_required() -> None:
    text = drop_in_text(Needs(is_key_encrypted=True), [])
    assert f"[Unit]\nWants={KEY_UNIT}\nAfter={KEY_UNIT}\n" in text
    assert f"[Service]\nLoadCredential=climahub-api-key:{DECRYPTED_KEY}\n" in text
    assert "Requires=" not in text


def test_a_button_or_a_mains_line_opens_the_gpio_chip() -> None:
    for key in ("button_line", "mains_line"):
        needs = needs_of(config(f'[board]\nname = "linux"\n[board.linux]\n{key} = 5\n'), [])
        assert needs == Needs(("char-gpiochip",), ("gpio",))
