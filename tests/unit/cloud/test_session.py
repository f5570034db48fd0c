"""Where a redirect leads: byte for byte, and nowhere else than it may."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from agent.cloud.session import redirect_target
from agent.errors import CloudUnavailable

ASKED = URL("https://cloud.example/v1/ota/download/1.0?x=1", encoded=True)
SIGNED = "/k%2Fy%7E/a;b,c/%e4%b8%8b?X-Amz-Credential=A%2F2026%2Fus&X-Amz-Date=1T0Z&sig=a+b%2Bc%20d/e%3D%3D&q=%2f&r"


@pytest.mark.parametrize(
    ("location", "path_and_query"),
    [
        (f"https://bucket.example{SIGNED}", SIGNED),
        (f"//bucket.example{SIGNED}", SIGNED),
        (SIGNED, SIGNED),
        ("?token=%2B+%20", "/v1/ota/download/1.0?token=%2B+%20"),
        ("other%2Fname", "/v1/ota/download/other%2Fname"),
        ("https://b.example/a%?x=%zz", "/a%?x=%zz"),
        ("https://b.example/a//b/%2E%2E/c", "/a//b/%2E%2E/c"),
        ("https://b.example/x?y#fragment", "/x?y"),
        ("https://b.example/ä ö?z=ü", "/%C3%A4%20%C3%B6?z=%C3%BC"),
        ("https://b.example/\udce4", "/%E4"),
    ],
)
def test_redirect_address_is_kept_byte_for_byte(location: str, path_and_query: str) -> None:
    assert redirect_target(ASKED, location).raw_path_qs == path_and_query


@pytest.mark.parametrize(
    "location",
    [
        "",
        "https://h:99999/",
        "https://[::1/",
        "http://[::1",
        "mailto:x",
        "file:///etc/passwd",
        "http://cloud.example/v1",
        "https://u:p@b.example/",
        "https://u@b.example/",
        "https://b.example/" + "x" * 9000,
    ],
)
def test_unsafe_redirect_is_not_followed(location: str) -> None:
    with pytest.raises(CloudUnavailable, match="redirected"):
        redirect_target(ASKED, location)


def test_plain_http_cloud_may_redirect_to_itself() -> None:
    asked = URL("http://127.0.0.1:8080/v1/a")
    assert str(redirect_target(asked, "http://127.0.0.1:9090/b")) == "http://127.0.0.1:9090/b"
    with pytest.raises(CloudUnavailable, match="not https"):
        redirect_target(asked, "http://other.example/b")


@given(st.text())
def test_any_address_is_followed_or_refused(location: str) -> None:
    for text in (location, f"https://{location}", f"https://b.example/{location}"):
        try:
            target = redirect_target(ASKED, text)
        except CloudUnavailable:
            continue
        assert target.scheme == "https"
        target.raw_path_qs.encode("ascii")
