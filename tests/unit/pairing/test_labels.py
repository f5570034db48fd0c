"""Labels and QR codes: every documented form is read, every wrong digit is found, no secret is repeated."""

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from agent.errors import LabelInvalid
from agent.pairing.labels import INSTALL_CODE_BYTES, Label, crc16_x25, normalise_address, parse

ADDRESS = "0x000d6ffffed4163b"
CODE = "52797BF4A5084DAA8E1712B61741CA024051"
KEY = "sk_sensor_abc123"

addresses = st.binary(min_size=8, max_size=8).filter(lambda raw: set(raw) not in ({0}, {255})).map(bytes.hex)
codes = st.sampled_from(INSTALL_CODE_BYTES).flatmap(
    lambda size: st.binary(min_size=size - 2, max_size=size - 2).map(
        lambda raw: (raw + crc16_x25(raw).to_bytes(2, "little")).hex()
    )
)


def test_crc_matches_the_specification() -> None:
    """The example of Zigbee Base Device Behaviour 10.1.1.1."""
    assert crc16_x25(bytes.fromhex("83FED3407A939723A5C639B26916D505")) == 0xB5C3


@pytest.mark.parametrize(
    ("text", "address", "code"),
    [
        (f"Z:000D6FFFFED4163B$I:{CODE}", ADDRESS, CODE),
        ("Z:4CC206FFFE805E7A$I:560BCC1FF50E704B9BA93A5CA817C35E799F$D:202%B:4CC206805E7A$P:613727%M:1220$F:0024",
         "0x4cc206fffe805e7a", "560BCC1FF50E704B9BA93A5CA817C35E799F"),
        (f"G$M:751$S:357S00001579$D:000000000F350FFD%Z$A:04CF8CDF3C3C3C3C$I:{CODE}", "0x04cf8cdf3c3c3c3c", CODE),
        ("Z$A:DC8E95FFFE35782B$I:4A3A4F404B4D3E3D3E3E414D403D3C3B837F",
         "0xdc8e95fffe35782b", "4A3A4F404B4D3E3D3E3E414D403D3C3B837F"),
        (f"000D6FFFFED4163B|{CODE}", ADDRESS, CODE),
        ("HUE:Z:2E5D2E5F401B82F1A45621A50B551F726101 M:001788010CE5C843 D:H2504 A:2266",
         "0x001788010ce5c843", "2E5D2E5F401B82F1A45621A50B551F726101"),
        ("RB01SG0D8310182648007000000000000000000094DEB8FFFE41F6D6DLKA87710C3E5C332E5327EE532C3C310E5DFE0",
         "0x94deb8fffe41f6d6", "A87710C3E5C332E5327EE532C3C310E5DFE0"),
        ("00:0D:6F:FF:FE:D4:16:3B 5279-7BF4-A508-4DAA-8E17-12B6-1741-CA02-4051", ADDRESS, CODE),
        (f"0x000d6ffffed4163b, {CODE.lower()}", ADDRESS, CODE),
        (" 000d6ffffed4163b\n", ADDRESS, ""),
    ],
)  # fmt: skip
def test_labels_of_known_manufacturers(text: str, address: str, code: str) -> None:
    for spelt in (text, text.lower()):
        assert parse(spelt) == Label(address, bytes.fromhex(code))


def test_an_older_bosch_label_holds_the_link_key() -> None:
    text = "RB01SG0D836591B3CC0010000000000000000000000D6F0017E0870CDLK999F98A7DFBCA6DD3955823AD9089631"
    key = bytes.fromhex("999F98A7DFBCA6DD3955823AD9089631")
    assert parse(text) == Label("0x000d6f0017e0870c", key, is_link_key=True)


EUI = "D0CF5EFFFE112233"
BACKWARDS = "332211FEFF5ECFD0"
IC = "404142434445464748494A4B4C4D4E4FBD66"


@pytest.mark.parametrize(
    "text",
    [
        f"MAC: {EUI}  CODE: {IC}",
        f"EUI64: {EUI} Install Code: {IC}",
        f"IEEE: {EUI}\nIC: {IC}",
        f"MAC:{EUI} IC:{IC}",
        f"{EUI}\n{IC}",
        f"{EUI}\r\n{IC}\r\n",
        f"{IC}\n{EUI}",
        f"CODE: {IC}\nMAC: {EUI}",
        f"EUI-64: {EUI}\nInstallation Code {IC}",
        f"IEEE Address = {EUI}; Install-Code = {IC}",
        f"MAC ADDRESS\n{EUI}\nINSTALL CODE\n{IC}",
        "MAC D0:CF:5E:FF:FE:11:22:33 CODE 4041 4243 4445 4647 4849 4A4B 4C4D 4E4F BD66",
        f"EUI64: D0CF 5EFF FE11 2233\nIC: {IC}",
        f"Made by Namron. Model 4512770. MAC: {EUI} CODE: {IC} Made in China, FCC ID: 2AX-1, IC: 12208A-04",
        f"FCC IC: 12208A\nMAC: {EUI}\n{IC}",
        f"{EUI} CODE: {IC}",
        f"MAC:{EUI}CODE:{IC}",
        f"CODE{IC}MAC{EUI}",
        f"EUI64 Address: {EUI} / IC Code: {IC}",
        f"MAC ID {EUI} Inst. Code {IC}",
        f"LOT 40414243 X {EUI[:8]} {EUI[8:]} CODE {IC}",
        f"QR CODE MACHINE {EUI}\nInstall Code (IC): {IC}",
        f"MAC: {EUI}\n{IC}",
        f"mac {EUI.lower()} code {IC.lower()}",
        # A MAC of 6 bytes: the EUI-64 has FFFE in its middle.
        f"MAC: D0:CF:5E:11:22:33 CODE: {IC}",
        # Printed lowest byte first.
        f"{BACKWARDS}|{IC}",
        f"MAC: {BACKWARDS} CODE: {IC}",
        f"Z:{BACKWARDS}$I:{IC}",
        f"33:22:11:FE:FF:5E:CF:D0 {IC}",
    ],
)
def test_printed_words_around_the_values_are_ignored(text: str) -> None:
    label = parse(text)
    assert (label.ieee_address, label.code.hex().upper()) == (f"0x{EUI.lower()}", IC)
    assert label.reversed_address == ""


@pytest.mark.parametrize("text", [f"MAC: {EUI}", f"EUI64 {EUI}", f"IEEE: {BACKWARDS}", f"ADDRESS {EUI} Model 12", EUI])
def test_an_address_alone_may_have_words_around_it(text: str) -> None:
    assert parse(text) == Label(f"0x{EUI.lower()}")


@pytest.mark.parametrize(
    ("printed", "address", "reversed_address"),
    [
        ("C4B3A201008D1500", "0x00158d0001a2b3c4", ""),
        ("00158D0001A2B3C4", "0x00158d0001a2b3c4", ""),
        # FFFE in the middle counts, wherever else FEFF stands.
        ("FEFF00FFFE00FEFF", "0xfeff00fffe00feff", ""),
        ("1122334455667788", "0x1122334455667788", "0x8877665544332211"),
        # Both ends are known makers' beginnings.
        ("00158D00008D1500", "0x00158d00008d1500", "0x00158d00008d1500"),
    ],
)
def test_address_in_reversed_byte_order_is_corrected(printed: str, address: str, reversed_address: str) -> None:
    label = parse(f"{printed} {IC}")
    assert (label.ieee_address, label.reversed_address) == (address, reversed_address)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"MAC: {EUI[:14]} CODE: {IC}", "has 14 hex digits; 16 are needed: 2 are missing"),
        (f"MAC: {EUI}AA CODE: {IC}", "has 18 hex digits; 16 are needed: 2 are too many"),
        (f"{EUI[:14]} {IC}", "has 14 hex digits"),
        ("000000000000000G", 'has "G", but hex digits are 0 to 9 and A to F'),
        (f"MAC: {EUI} CODE: {IC[:-2]}", f"of 0x{EUI.lower()} has 34 hex digits"),
        (f"MAC: {EUI} CODE: {IC[:-1]}0", f"of 0x{EUI.lower()} does not fit its check digits"),
        (f"CODE: {IC}", "the address is missing"),
        ("MAC: CODE:", "no known format"),
        ("MAC CODE IC EUI", "no known format"),
    ],
)
def test_typing_error_is_located(text: str, told: str) -> None:
    with pytest.raises(LabelInvalid, match=told) as caught:
        parse(text)
    assert IC[:-2] not in str(caught.value)


@pytest.mark.parametrize("joint", [" ", "\n", ", ", ";", "$K:"])
@pytest.mark.parametrize("front", ["000d6ffffed4163b", f"Z:000D6FFFFED4163B$I:{CODE}", f"000D6FFFFED4163B|{CODE}"])
def test_key_may_follow_the_label(front: str, joint: str) -> None:
    label = parse(front + joint + KEY)
    assert (label.ieee_address, label.sensor_key) == (ADDRESS, KEY)
    assert label.code == (b"" if "$" not in front and "|" not in front else bytes.fromhex(CODE))
    assert parse(KEY + " " + front) == label


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("MT:Y.K9042C00KA0648G00", "Matter"),
        ("", "no known format"),
        ("hello", "no known format"),
        (CODE, "no known format"),
        ("x" * 501, "longer than any label"),
        ("0000000000000000", "all zeros"),
        ("FF:FF:FF:FF:FF:FF:FF:FF", "all zeros or all F"),
        (f"Z:000D6FFFFED4163B$I:{CODE[:-2]}", "has 34 hex digits"),
        (f"Z:000D6FFFFED4163B$I:{CODE[:-1]}", "pairs of hex digits"),
        (f"000d6ffffed4163b {CODE[:-1]}0", "a digit is wrong"),
        (f"000d6ffffed4163b {CODE[:-1]}Q", "pairs of hex digits"),
        ("Z:000D6FFFFED4163B$I:999F98A7DFBCA6DD3955823AD9089631", "has 32 hex digits"),
    ],
)
def test_unusable_label_is_refused_with_advice(text: str, told: str) -> None:
    with pytest.raises(LabelInvalid, match=told):
        parse(text)


@given(addresses, codes)
def test_every_form_round_trips(address: str, code: str) -> None:
    label = parse(address)
    # The order is found, or both are possible.
    assert label.ieee_address[2:] in {address, bytes.fromhex(address)[::-1].hex()}
    label = Label(label.ieee_address, bytes.fromhex(code), reversed_address=label.reversed_address)
    upper_address, upper_code = address.upper(), code.upper()
    for text in (
        f"Z:{upper_address}$I:{upper_code}",
        f"Z:{upper_address}$I:{upper_code}%M:1234$D:7",
        f"G$M:1$S:2$D:3%Z$A:{upper_address}$I:{upper_code}",
        f"{upper_address}|{upper_code}",
        f"HUE:Z:{upper_code} M:{upper_address} D:H2504 A:2266",
        f"RB01SG{'0' * 34}{upper_address}DLK{upper_code}",
        f"{address} {code}",
    ):
        assert parse(text) == label, text
    assert normalise_address(address) == f"0x{address}"


@given(codes, st.data())
def test_one_wrong_digit_is_always_found(code: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(code) - 1))
    digit = data.draw(st.sampled_from("0123456789abcdef"))
    assume(digit != code[place])
    with pytest.raises(LabelInvalid, match="a digit is wrong") as caught:
        parse(f"Z:00158D0001A2B3C4$I:{code[:place]}{digit}{code[place + 1 :]}")
    assert code[:place] not in str(caught.value) or place < 4


PIECES = st.sampled_from(
    [
        "MAC",
        "EUI64:",
        "IEEE ",
        "IC:",
        "CODE",
        "INSTALL CODE:",
        "=",
        "\n",
        " ",
        ";",
        "|",
        "-",
        ":",
        "0x",
        "Z:",
        "$I:",
        "DLK",
    ]
)


@given(st.lists(st.one_of(PIECES, addresses, codes, st.text("0123456789ABCDEFabcdef", max_size=40)), max_size=12))
def test_any_combination_of_label_parts_is_parsed_or_refused(pieces: list[str]) -> None:
    text = "".join(pieces)
    try:
        label = parse(text)
    except LabelInvalid as error:
        secrets = [piece for piece in pieces if len(piece) >= 16]
        assert not any(secret in str(error) for secret in secrets if secret not in str(error).partition(" of 0x")[2])  # noqa: PT017
    else:
        assert len(label.code) in {0, 16, *INSTALL_CODE_BYTES}
        assert label.reversed_address in {"", "0x" + bytes.fromhex(label.ieee_address[2:])[::-1].hex()}


@given(st.text(max_size=600))
@example("$A:$I:")
@example("\u0130" * 20)
@example("\u00df" * 16 + "|AA")
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        label = parse(text)
    except LabelInvalid as error:
        assert len(text) < 12 or text not in str(error)  # noqa: PT017 - both outcomes are right
    else:
        assert normalise_address(label.ieee_address) == label.ieee_address
