import pytest

pytest.importorskip("zigpy")

from lab.ncp import device_file
from lab.ncp.device_file import DevicesInvalid


def test_missing_fields_follow_from_the_seed() -> None:
    text = """
    seed = 7
    [[device]]
    name = "plug"
    model = "router"
    [[device]]
    name = "bedroom"
    model = "climate"
    parent = "plug"
    latency_s = 3
    lqi = 90
    rssi_dbm = -80
    eui64 = "00:11:22:33:44:55:66:77"
    install_code = "83fed3407a939723a5c639b26916d505c3b5"
    values = { temperature_c = 20.5 }
    """
    room = device_file.parse_device_file(text, "house.toml")
    plug, bedroom = room.devices
    assert (bedroom.parent, bedroom.latency_s, bedroom.lqi, bedroom.rssi_dbm) == ("plug", 3, 90, -80)
    assert bedroom.eui64 == "00:11:22:33:44:55:66:77"
    assert plug.latency_s == device_file.LATENCY_MAINS_S
    assert plug.eui64.startswith("00:0d:6f:")
    assert device_file.parse_device_file(text, "") == room
    assert device_file.parse_device_file(text.replace("seed = 7", "seed = 8"), "").devices[0].eui64 != plug.eui64
    assert device_file.new_stick(7) == device_file.new_stick(7) != device_file.new_stick(8)


def test_key_of_an_install_code_is_that_of_the_base_device_behaviour_specification() -> None:
    text = '[[device]]\nname = "a"\nmodel = "climate"\ninstall_code = "83fed3407a939723a5c639b26916d505c3b5"\n'
    assert device_file.parse_device_file(text, "").devices[0].link_key == bytes.fromhex(
        "66b6900981e1ee3ca4206b6b861c02bb"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = ", "house"),
        ('[[device]]\nname = "a"\nmodel = "b"\n', "choose one of these models: temperature"),
        ('[[device]]\nname = "a"\nmodel = "climate"\ncolour = 1\n', "colour"),
        ('[[device]]\nname = "a"\nmodel = "climate"\neui64 = "1"\n', "eui64"),
        ('[[device]]\nname = "a"\nmodel = "climate"\nvalues = { x = 1 }\n', "there is no 'x'"),
        ('[[device]]\nname = "a"\nmodel = "climate"\nlatency_s = inf\n', "latency_s"),
        (
            '[[device]]\nname = "a"\nmodel = "climate"\nvalues = { pressure_hpa = 990 }\n',
            "'a': this model has no 'pressure_hpa'",
        ),
        (
            '[[device]]\nname = "a"\nmodel = "climate"\nvalues = { temperature_c = nan }\n',
            "the sensor cannot report temperature_c = nan",
        ),
        ('[[device]]\nname = "a"\nmodel = "climate"\ninstall_code = "83fe"\n', "'a'.*length"),
        ('[[device]]\nname = "a"\nmodel = "climate"\nparent = "b"\n', "'b' must be a router"),
        ('[[device]]\nname = "a"\nmodel = "climate"\n' * 2, "same name"),
        ('[[device]]\nname = "a"\nmodel = "climate"\n' * (device_file.DEVICES_MAX + 1), "at most"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(DevicesInvalid, match=message):
        device_file.parse_device_file(text, "house")
