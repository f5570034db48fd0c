import base64
import json

import pytest

from agent.apis.aurra_home.token_request import TokenRequest, read_token_request
from agent.apis.face import ApiRefused

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BODY = json.dumps({"client_id": "acc_1", "client_secret": "s", "grant_type": "client_credentials"}).encode()
PAIRS = b"grant_type=client_credentials&client_id=acc_1&client_secret=s"


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (JSON, BODY),
        ({"Content-Type": "application/json; charset=utf-8"}, BODY),
        ({}, BODY),
        ({"Content-Type": "text/plain"}, BODY),
        # curl -d without a header of its own.
        (FORM, BODY),
        (FORM, PAIRS),
        ({"Content-Type": "application/x-www-form-urlencoded;charset=UTF-8"}, PAIRS),
        ({}, PAIRS),
        (FORM | basic("acc_1:s"), b"grant_type=client_credentials"),
        (FORM | basic("acc%5F1:s"), b"grant_type=client_credentials"),
        (JSON | basic("acc_1:s"), b'{"grant_type": "client_credentials"}'),
        (FORM | basic("acc_1:s"), b"grant_type=client_credentials&client_id=acc_1"),
    ],
)
def test_what_clients_really_send_is_understood(headers: dict[str, str], body: bytes) -> None:
    assert read_token_request(headers, body) == TokenRequest("acc_1", "s", None)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (JSON, b""),
        (JSON, b"null"),
        (JSON, b"[]"),
        (JSON, b'{"client_id": "acc_1", "client_secret": "s"}'),
        (JSON, BODY.replace(b"client_credentials", b"password")),
        (JSON, BODY.replace(b'"s"', b"1")),
        (JSON, BODY.replace(b'"s"', b'""')),
        (JSON, BODY.replace(b'"acc_1"', b"null")),
        (JSON, b"\xff\xfe"),
        (JSON, b'{"client_id":' * 2000),
        (FORM, b"client_id=acc_1"),
        (FORM, PAIRS + b"&client_id=acc_2"),
        (FORM, b"\xff"),
        (FORM, b"&".join(b"a%d=1" % number for number in range(50))),
        (FORM | {"Authorization": "Basic ???"}, b"grant_type=client_credentials"),
        # The id of one client with the password of another.
        (FORM | basic("acc_2:s"), b"grant_type=client_credentials&client_id=acc_1"),
    ],
)
def test_what_is_no_token_request_is_refused(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(ApiRefused) as caught:
        read_token_request(headers, body)
    assert caught.value.answer.status == 400


def test_scopes_are_separated_by_spaces_and_nothing_means_all() -> None:
    def scopes(text: str) -> tuple[str, ...] | None:
        body = json.loads(BODY) | {"scope": text}
        return read_token_request(JSON, json.dumps(body).encode()).scopes

    assert scopes("a:read  b:write a:read") == ("a:read", "b:write")
    assert scopes("") is None


def test_a_secret_is_not_shown() -> None:
    assert "s3cret" not in repr(TokenRequest("acc_1", "s3cret", None))
