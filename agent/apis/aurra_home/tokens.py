"""Gives tokens and accepts them: the calls of `/auth`, and who a request with a token is.

Must never log or store a token or a secret. A token of a revoked client ends with it, whatever it says.
"""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from agent.apis.aurra_home.assumptions import SCOPE_PARAMETER
from agent.apis.aurra_home.errors import (
    INSUFFICIENT_SCOPE,
    INVALID_CREDENTIALS,
    SERVICE_UNAVAILABLE,
    UNAUTHORIZED,
    refused,
)
from agent.apis.aurra_home.jwt import Claims, TokenInvalid, has_ended, sign, verify
from agent.apis.aurra_home.signing_keys import SigningKeys, describe
from agent.apis.aurra_home.token_request import read_token_request
from agent.apis.aurra_home.wire import Token
from agent.apis.clients import Clients
from agent.apis.face import ApiAnswer, ApiClient, ApiRequest, Limit, bearer_token
from agent.foundation.clock import Clock
from agent.foundation.secret_hash import RandomBytes
from agent.foundation.worker import Worker

API = "aurra_home"
TOKEN_S = 3600
"""How long a token lasts (the contract)."""
KEY_WAIT_S = 5
"""When to ask again while the first key is being made."""

_ID_BYTES = 8

SIGN_INS = Limit("sign-ins", 60)
"""Of one client in a minute: each costs a signature."""


class Tokens:
    """The tokens of one hub: what they say is in them, so none is stored."""

    def __init__(
        self, clients: Clients, keys: SigningKeys, *, clock: Clock, worker: Worker, random_bytes: RandomBytes
    ) -> None:
        """Prepare.

        Args:
            clients: The credential store.
            keys: Sign tokens.
            clock: Tokens end on the boot's clock, and by the time of day after it.
            worker: Where signing blocks.
            random_bytes: Makes the ids of tokens.
        """
        self._clients = clients
        self._keys = keys
        self._clock = clock
        self._worker = worker
        self._random_bytes = random_bytes

    @property
    def _issuer(self) -> str:
        return f"urn:climahub:{self._keys.hub_id}"

    @property
    def _audience(self) -> str:
        return f"{self._issuer}:{API}"

    async def give_token(self, request: ApiRequest) -> ApiAnswer:
        """Answer `POST /auth/token`."""
        wanted = read_token_request(request.headers, request.body)
        client = self._clients.find_pair(API, wanted.client_id, wanted.client_secret)
        if client is None:
            raise refused(HTTPStatus.UNAUTHORIZED, INVALID_CREDENTIALS, "Bad client_id or client_secret")
        request.count(client, SIGN_INS)
        scopes = client.scopes if wanted.scopes is None else wanted.scopes
        if missing := [scope for scope in scopes if scope not in client.scopes]:
            text = f"ask for less in {SCOPE_PARAMETER}: this client does not have {missing[0][:64]}"
            raise refused(HTTPStatus.FORBIDDEN, INSUFFICIENT_SCOPE, text)
        await self._ensure_keys()
        kid, key = self._keys.current
        claims = self._claims(client, scopes)
        # Off the loop: a small board takes 20 ms for it.
        token = await self._worker.run(lambda: sign(claims, kid, key))
        return ApiAnswer(Token(token, "Bearer", TOKEN_S))

    def _claims(self, client: ApiClient, scopes: tuple[str, ...]) -> Claims:
        utc_ms = self._clock.utc_ms()
        utc_s = None if utc_ms is None else utc_ms // 1000
        return Claims(
            iss=self._issuer,
            aud=self._audience,
            sub=client.client_id,
            jti=self._random_bytes(_ID_BYTES).hex(),
            scope=" ".join(scopes),
            boot=self._clock.boot_id,
            boot_exp_ms=self._clock.monotonic_ms() + TOKEN_S * 1000,
            iat=utc_s,
            exp=None if utc_s is None else utc_s + TOKEN_S,
        )

    async def get_keys(self, _: ApiRequest) -> ApiAnswer:
        """Answer `GET /auth/jwks.json`, which is this hub's own: the keys with which others may check its tokens."""
        await self._ensure_keys()
        return ApiAnswer({"keys": [describe(kid, key) for kid, key in self._keys.public.items()]})

    async def authenticate(self, headers: Mapping[str, str]) -> ApiClient:
        """Return the client of a token, with the scopes that both have.

        Raises:
            ApiRefused: There is no valid token.
        """
        token = bearer_token(headers)
        if not token:
            raise refused(HTTPStatus.UNAUTHORIZED, UNAUTHORIZED, "send Authorization: Bearer and a token")
        await self._ensure_keys()
        try:
            claims = verify(token, self._keys.public, audience=self._audience)
        except TokenInvalid as error:
            text = f"ask for another token (POST /auth/token): {error}"
            raise refused(HTTPStatus.UNAUTHORIZED, UNAUTHORIZED, text) from error
        clock = self._clock
        if has_ended(claims, boot_id=clock.boot_id, now_ms=clock.monotonic_ms(), utc_ms=clock.utc_ms()):
            raise refused(
                HTTPStatus.UNAUTHORIZED, UNAUTHORIZED, "ask for another token (POST /auth/token): it has ended"
            )
        client = self._clients.find_id(API, claims.sub)
        if client is None:
            text = "ask the owner of the hub for a credential: this client is revoked or has ended"
            raise refused(HTTPStatus.UNAUTHORIZED, UNAUTHORIZED, text)
        given = claims.scope.split()
        return msgspec.structs.replace(client, scopes=tuple(scope for scope in client.scopes if scope in given))

    async def _ensure_keys(self) -> None:
        """Wait for the keys, which are loaded at the first use.

        Raises:
            ApiRefused: The disk does not give them, or the first is still being made.
        """
        if not await self._keys.load():
            text = "try again in some seconds: the hub is making its key"
            raise refused(HTTPStatus.SERVICE_UNAVAILABLE, SERVICE_UNAVAILABLE, text, retry_after_s=KEY_WAIT_S)
