"""Where deliveries may go."""

import pytest

from agent.apis.webhooks.addresses import URL_CHARACTERS_MAX, check_url, is_allowed
from agent.errors import SettingInvalid


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed(address, is_private_allowed=False)
    assert is_allowed(address, is_private_allowed=True)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.1.7", "172.16.0.1", "::1", "fd00::1", "::ffff:192.168.1.7", "2002:c0a8:107::1"],
)
def test_private_addresses_need_the_owners_word(address: str) -> None:
    assert not is_allowed(address, is_private_allowed=False)
    assert is_allowed(address, is_private_allowed=True)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "fe80::1", "fe80::1%eth0", "224.0.0.1", "ff02::1", "0.0.0.0", "::", "::ffff:169.254.169.254"],
)
def test_some_addresses_are_never_allowed(address: str) -> None:
    assert not is_allowed(address, is_private_allowed=False)
    assert not is_allowed(address, is_private_allowed=True)


@pytest.mark.parametrize("text", ["https://example.com/hooks", "https://93.184.216.34:8443/a?b=c"])
def test_urls_that_can_be_used(text: str) -> None:
    assert check_url(text, is_private_allowed=False) == text


def test_http_is_for_endpoints_with_private_addresses() -> None:
    assert check_url("http://192.168.1.7:9000/in", is_private_allowed=True) == "http://192.168.1.7:9000/in"
    with pytest.raises(SettingInvalid, match="use https"):
        check_url("http://192.168.1.7:9000/in", is_private_allowed=False)
    with pytest.raises(SettingInvalid, match="use https"):
        check_url("http://93.184.216.34/in", is_private_allowed=True)
    assert is_allowed("192.168.1.7", is_private_allowed=True, is_plain=True)
    assert not is_allowed("93.184.216.34", is_private_allowed=True, is_plain=True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "give a URL"),
        ("example.com/hooks", "give a URL"),
        ("ftp://example.com/", "give a URL"),
        ("https:///hooks", "give a URL"),
        ("https://example.com:99999/", "give a URL"),
        ("https://exa mple.com/", "give a URL"),
        ("https://example.com/\n", "give a URL"),
        ("https://[::1", "give a URL"),
        ("https://user:pass@example.com/", "leave user name"),
        ("https://example.com/#part", "leave the part"),
        ("https://127.0.0.1/", "allow private"),
        ("https://[::1]/", "allow private"),
        ("https://example.com/" + "a" * URL_CHARACTERS_MAX, "shorter"),
    ],
)
def test_urls_that_cannot_be_used(text: str, reason: str) -> None:
    with pytest.raises(SettingInvalid, match=reason):
        check_url(text, is_private_allowed=False)


def test_link_local_is_refused_even_with_private_addresses() -> None:
    with pytest.raises(SettingInvalid, match="another address"):
        check_url("https://169.254.169.254/latest", is_private_allowed=True)


def test_a_name_is_accepted_since_its_addresses_are_checked_at_the_connection() -> None:
    assert check_url("https://7.example.com/", is_private_allowed=False) == "https://7.example.com/"


@pytest.mark.parametrize("host", ["2130706433", "127.1", "127.1.", "0x7f000001", "0x7f.1", "10.0.0.010", "1.2.3.4.5"])
def test_a_number_is_no_name(host: str) -> None:
    with pytest.raises(SettingInvalid, match="in full"):
        check_url(f"https://{host}/", is_private_allowed=True)
