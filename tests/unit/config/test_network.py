from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.network import Proxy, ProxyRules, parse_proxy, without_credentials

SECRET = "pa:ss/wörd"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("https://proxy.example/", "https://proxy.example:443"),
        ("http://[2001:db8::1]:8080", "http://[2001:db8::1]:8080"),
        ("HTTP://user:secret@PROXY:1", "http://proxy:1"),
    ],
)
def test_valid_proxy_addresses(text: str, url: str) -> None:
    assert parse_proxy(text).url == url


def test_proxy_credentials_go_into_the_header_only() -> None:
    proxy = parse_proxy("http://us%40er:pa%3Ass%2Fw%C3%B6rd@proxy:3128")
    assert b64decode(proxy.authorization.removeprefix("Basic ")).decode() == f"us@er:{SECRET}"
    assert proxy.url == "http://proxy:3128"
    assert repr(proxy) == str(proxy) == "Proxy('http://proxy:3128')"
    assert parse_proxy("http://proxy:3128").authorization == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("socks5://secret:secret@proxy:1080", "socks5 is not supported"),
        ("http://secret@proxy:99999", "host or port"),
        ("http://secret@:80", "host or port"),
        ("http://pro xy:80", "host or port"),
        ("http://[::1", "host or port"),
        ("http://secret@proxy:80/secret", "nothing may follow"),
        ("", "host or port"),
    ],
)
def test_invalid_proxy_is_refused_without_repeating_it(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        parse_proxy(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["http://user:secret@proxy:1", "user:secret@proxy:1", "http://secret@proxy:1"])
def test_shown_proxy_has_no_credentials(text: str) -> None:
    assert "secret" not in without_credentials(text)
    assert without_credentials(text).endswith("[redacted]@proxy:1")


@given(st.text())
def test_any_text_is_a_proxy_or_refused(text: str) -> None:
    try:
        assert isinstance(parse_proxy(text), Proxy)
    except ValueError:
        return


ENVIRON = {"https_proxy": "http://lower:1", "HTTPS_PROXY": "http://upper:2", "ALL_PROXY": "http://all:3"}


@pytest.mark.parametrize(
    ("configured", "environ", "scheme", "url"),
    [
        ("environment", {}, "https", None),
        ("environment", ENVIRON, "https", "http://lower:1"),
        ("environment", {"HTTPS_PROXY": "upper:2"}, "https", "http://upper:2"),
        ("environment", ENVIRON, "http", "http://all:3"),
        ("environment", {"http_proxy": "plain:4"}, "https", None),
        ("environment", {"https_proxy": "  "}, "https", None),
        ("none", ENVIRON, "https", None),
        ("http://configured:5", ENVIRON, "https", "http://configured:5"),
        ("http://configured:5", {}, "http", "http://configured:5"),
    ],
)
def test_the_configuration_comes_before_the_environment(
    configured: str, environ: dict[str, str], scheme: str, url: str | None
) -> None:
    proxy = ProxyRules(configured, environ).proxy_for(scheme, "cloud.example", None)
    assert (proxy.url if proxy else None) == url


@pytest.mark.parametrize("host", ["localhost", "hub.localhost", "127.0.0.1", "127.8.9.1", "::1", "[::1]", "LOCALHOST."])
def test_loopback_is_never_reached_through_a_proxy(host: str) -> None:
    assert ProxyRules("http://proxy:1", {}).proxy_for("http", host, 8080) is None


@pytest.mark.parametrize(
    ("exceptions", "host", "port", "goes_directly"),
    [
        ("*", "cloud.example", 443, True),
        ("cloud.example", "cloud.example", 443, True),
        ("cloud.example", "api.cloud.example", 443, True),
        (".cloud.example", "api.cloud.example", 443, True),
        ("*.cloud.example", "api.cloud.example", 443, True),
        ("cloud.example", "mycloud.example", 443, False),
        ("Cloud.Example., other", "cloud.example", 443, True),
        ("cloud.example:8443", "cloud.example", 8443, True),
        ("cloud.example:8443", "cloud.example", None, False),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8 192.168.1.1", "192.168.1.1", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.0.0.1:8443", "10.0.0.1", 443, False),
        ("10.0.0.1:8443", "10.0.0.1", 8443, True),
        ("2001:db8::/32", "2001:db8::5", 443, True),
        ("[2001:db8::5]", "[2001:db8::5]", 443, True),
        (" , ,.", "cloud.example", 443, False),
    ],
)
def test_no_proxy_exceptions(exceptions: str, host: str, port: int | None, *, goes_directly: bool) -> None:
    for configured in ("environment", "http://proxy:1"):
        rules = ProxyRules(configured, {"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": exceptions})
        assert (rules.proxy_for("https", host, port) is None) is goes_directly


def test_unusable_proxy_of_the_environment_is_reported() -> None:
    rules = ProxyRules("environment", {"ALL_PROXY": "socks5://user:secret@proxy:1080"})
    assert rules.proxy_for("https", "cloud.example", None) is None
    assert rules.problem == (
        "all_proxy of the environment: a proxy of the kind socks5 is not supported; allowed are http and https;"
        " requests go without it"
    )
