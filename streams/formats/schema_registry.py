"""The schema registry: the schema that a record was written by, found by the number that the record carries.

A number means the same for ever, so what was read once is kept. A registry that does not answer, or not as a registry
does (a proxy's page, a refused password), is no fault of any record: `RegistryAway`, and the records come again.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec

from streams.addresses import without_secrets
from streams.away import Away

CONNECT_S_MAX = 2.0
READ_S_MAX = 5.0
#: Schemas that one schema may refer to, over all levels.
REFERENCES_MAX = 100
# The registry's own numbers for: subject, version, schema not found.
_NOT_FOUND = frozenset({40401, 40402, 40403})


class RegistryAway(Away):
    """The registry does not answer as one; the same question may be answered later."""


class UnknownSchema(LookupError):
    """The registry knows no schema of this number, or none that can be used; the text says why."""


class _Reference(msgspec.Struct):
    name: str
    subject: str
    version: int


class _Answer(msgspec.Struct):
    schema: str
    schemaType: str = "AVRO"  # noqa: N815
    references: list[_Reference] = []


class _Problem(msgspec.Struct):
    error_code: int
    message: str = ""


class SchemaRegistry:
    """A client of the Confluent Schema Registry's HTTP interface (Karapace and Apicurio speak it too).

    confluent-kafka's own client is not used: it needs authlib, httpx2 and cachetools for the two requests that are made
    here, and it keeps the password, which is read here when it is needed.

    Parameters
    ----------
    url
        ``https://registry:8081``, with the path where there is one.
    user, password
        For basic authentication; a function, so that a secret is read when it is needed and kept nowhere.
    """

    def __init__(self, url: str, user: str = "", password: Callable[[], str] = lambda: "") -> None:
        import urllib3  # who reads JSON alone needs neither it nor fastavro

        self._url = url.rstrip("/")
        self.address = without_secrets(self._url)  # what messages call it
        self._user, self._password = user, password
        timeout = urllib3.Timeout(connect=CONNECT_S_MAX, read=READ_S_MAX)
        self._http = urllib3.PoolManager(timeout=timeout, retries=False)
        self._schemas: dict[int, Any] = {}

    def schema(self, number: int) -> Any:
        """Find a schema, as fastavro parsed it.

        Raises
        ------
        UnknownSchema
            There is none, or it is none of Avro's.
        RegistryAway
            Ask again later.
        """
        if number not in self._schemas:
            self._schemas[number] = self._parsed(f"/schemas/ids/{number}", f"schema {number}")
        return self._schemas[number]

    def ask(self) -> None:
        """See that something answers there that is not out of order.

        Raises
        ------
        RegistryAway
            It does not: schemas that were read go on, and records of others wait.
        """
        response = self._get("/", "what carries another number")
        if response.status >= 500:
            raise RegistryAway(
                f"schema registry {self.address} answers {response.status}; "
                "records of schemas that were not read yet wait"
            )

    def _parsed(self, path: str, name: str) -> Any:
        from fastavro.schema import SchemaParseException, UnknownType, parse_schema

        answer = self._ask(path, name)
        if answer.schemaType != "AVRO":
            raise UnknownSchema(f"{name} is of the type {answer.schemaType}; AVRO is read")
        named: dict[str, Any] = {}
        try:
            for text in [*self._references(answer, {}).values(), answer.schema]:
                parsed = parse_schema(msgspec.json.decode(text), named_schemas=named)
        except (SchemaParseException, UnknownType, msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            raise UnknownSchema(f"{name} cannot be used: {type(error).__name__}: {error}") from error
        return parsed

    def _references(self, answer: _Answer, texts: dict[str, str]) -> dict[str, str]:
        """Texts of the schemas that an answer refers to, those first that others need."""
        for reference in answer.references:
            if reference.name not in texts:
                path = f"/subjects/{quote(reference.subject, safe='')}/versions/{reference.version}"
                referred = self._ask(path, f"{reference.subject} version {reference.version}")
                texts[reference.name] = ""  # in hand: a circle ends here
                self._references(referred, texts)
                del texts[reference.name]
                texts[reference.name] = referred.schema
            if len(texts) > REFERENCES_MAX:
                raise UnknownSchema(f"more than {REFERENCES_MAX} schemas refer to one another")
        return texts

    def _get(self, path: str, name: str) -> Any:
        from urllib3.exceptions import HTTPError
        from urllib3.util import make_headers

        headers = {"accept": "application/vnd.schemaregistry.v1+json, application/json"}
        try:
            if self._user:
                headers |= make_headers(basic_auth=f"{self._user}:{self._password()}")
            return self._http.request("GET", self._url + path, headers=headers)
        except (HTTPError, OSError, ValueError) as error:
            why = without_secrets(str(error))
            raise RegistryAway(f"schema registry {self.address}: {why}; {name} waits for it") from None

    def _ask(self, path: str, name: str) -> _Answer:
        response = self._get(path, name)
        try:
            if response.status == 200:
                return msgspec.json.decode(response.data, type=_Answer)
            if response.status == 404:
                problem = msgspec.json.decode(response.data, type=_Problem)
                if problem.error_code in _NOT_FOUND:
                    raise UnknownSchema(f"the registry knows no {name}: {problem.message}")
        except msgspec.MsgspecError:
            pass  # whatever answered there is no registry
        raise RegistryAway(
            f"schema registry {self.address}: {response.status} to {path}; see schema_registry.url, user and password"
        )
