"""Tokens for Faust's client where librdkafka gets its own: the same endpoint, client and secret, by the same options.

librdkafka asks by itself (``sasl.oauthbearer.method = "oidc"``); aiokafka wants to be handed a token.
"""

import base64
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiokafka.abc import AbstractTokenProvider

from streams.clock import ticks_ms

_ASK_S = 10.0
#: A token is fetched anew when so much of its life is over.
_RENEW_AT = 0.8
_LIFE_S = 300.0


class TokenError(RuntimeError):
    """The endpoint gave no token; the text says what it answered."""


class Tokens(AbstractTokenProvider):  # type: ignore[misc]
    """Gets tokens by OAuth's client credentials, and keeps one until it is nearly over.

    Parameters
    ----------
    options
        librdkafka's, references resolved: ``sasl.oauthbearer.token.endpoint.url``, ``client.id``, ``client.secret``,
        ``scope``; ``https.ca.location`` for the endpoint's certificate.

    Raises
    ------
    TokenError
        No endpoint, client or secret is named.
    """

    def __init__(self, options: Mapping[str, str]) -> None:
        needed = [f"sasl.oauthbearer.{name}" for name in ("token.endpoint.url", "client.id", "client.secret")]
        if options.get("sasl.oauthbearer.method") != "oidc" or any(name not in options for name in needed):
            raise TokenError(
                f'sasl.mechanism = "OAUTHBEARER" needs sasl.oauthbearer.method = "oidc", {", ".join(needed)}; set them'
            )
        self._url, self._client, self._secret = (options[name] for name in needed)
        self._scope = options.get("sasl.oauthbearer.scope")
        self._authorities = options.get("https.ca.location")
        self._token, self._until_ms = "", 0.0

    async def token(self) -> str:
        """The token of now.

        Raises
        ------
        TokenError
            The endpoint does not answer, or gives none.
        """
        if ticks_ms() >= self._until_ms:
            response = await self._ask()
            self._token = str(response["access_token"])
            self._until_ms = ticks_ms() + 1000 * _RENEW_AT * float(response.get("expires_in", _LIFE_S))
        return self._token

    async def _ask(self) -> Mapping[str, Any]:
        form = {"grant_type": "client_credentials"} | ({"scope": self._scope} if self._scope else {})
        tls = ssl.create_default_context(cafile=self._authorities)
        by = base64.b64encode(f"{self._client}:{self._secret}".encode()).decode()
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_ASK_S)) as session,
                session.post(self._url, data=form, headers={"Authorization": f"Basic {by}"}, ssl=tls) as answer,
            ):
                response: Mapping[str, Any] = await answer.json(content_type=None) if answer.status == 200 else {}
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise TokenError(f"{self._url}: {type(error).__name__}: {error}; no token") from None
        if "access_token" not in response:
            raise TokenError(f"{self._url} answers {status} and gives no token; see client.id, client.secret, scope")
        return response
