"""HTTP to the token endpoints and to nothing else."""

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from queue import Empty, SimpleQueue
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

__all__ = ["EndpointFailed", "PinnedSession", "Sessions", "origin_of"]

#: Seconds to connect, and of silence while an answer is read.
_TIMEOUT_S: Final = (3, 5)
_LONGEST_WAIT_S: Final = 86_400


class EndpointFailed(Exception):
    """The token endpoint gave no answer that OAuth knows. The failure is the provider's or the network's: try again later.

    Attributes:
        kind: `SILENT`, `UNREACHABLE`, `BUSY` (5xx), `THROTTLED` (429) or `MALFORMED`.
        wait: how long it asks us to wait, if it does.
    """

    def __init__(self, kind: str, message: str, wait: timedelta | None = None) -> None:
        super().__init__(message)
        self.kind, self.wait = kind, wait


class _Adapter(HTTPAdapter):
    """Trusts the context's authorities, which it loads once and not at every connection."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        super().__init__(pool_connections=2, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **named: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._tls, **named)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:  # noqa: ARG002 - the library's signature
        conn.cert_reqs = "CERT_REQUIRED"


class PinnedSession(requests.Session):
    """Asks the configured origins only: no redirects, no proxies, cookies or authorities of the environment, always a timeout.

    Args:
        origins: `https://host` or `https://host:port`.
        tls: whom to trust.
    """

    def __init__(self, origins: Iterable[str], tls: ssl.SSLContext) -> None:
        super().__init__()
        self._origins = frozenset(origins)
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.mount("https://", _Adapter(tls))

    def request(self, method: Any, url: Any, **named: Any) -> requests.Response:  # type: ignore[override]
        """Ask.

        Raises:
            EndpointFailed: another origin, no answer, or one that is not the provider's word on the request.
        """
        if origin_of(url) not in self._origins:
            raise EndpointFailed(
                "MALFORMED", "The identity provider names a token endpoint that is not a configured one."
            )
        named |= {"timeout": _TIMEOUT_S, "allow_redirects": False}
        response = self._once(method, url, named)
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:  # short of breath, perhaps: grants may be repeated
            response = self._once(method, url, named)
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise EndpointFailed("BUSY", f"The token endpoint answers with {response.status_code}.", _wait_of(response))
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            raise EndpointFailed("THROTTLED", "The token endpoint says that we ask too often.", _wait_of(response))
        if response.is_redirect:
            raise EndpointFailed("MALFORMED", "The token endpoint sends us elsewhere, and Berth does not go there.")
        return response

    def _once(self, method: str, url: str, named: dict[str, Any]) -> requests.Response:
        try:
            return super().request(method, url, **named)
        except requests.Timeout as error:
            raise EndpointFailed("SILENT", "The token endpoint does not answer in time.") from error
        except requests.exceptions.SSLError as error:
            raise EndpointFailed("UNREACHABLE", "TLS with the token endpoint could not be established.") from error
        except requests.RequestException as error:
            raise EndpointFailed("UNREACHABLE", "The token endpoint cannot be reached.") from error


class Sessions:
    """Lends each session to one thread at a time, so that connections are used again.

    Args:
        origins: see PinnedSession.
        tls: see PinnedSession.
    """

    def __init__(self, origins: Iterable[str], tls: ssl.SSLContext) -> None:
        self._origins, self._tls = frozenset(origins), tls
        self._idle: SimpleQueue[PinnedSession] = SimpleQueue()

    @contextmanager
    def lend(self) -> Iterator[PinnedSession]:
        """A session for the time of one grant."""
        try:
            session = self._idle.get_nowait()
        except Empty:
            session = PinnedSession(self._origins, self._tls)
        try:
            yield session
        finally:
            self._idle.put(session)

    def close(self) -> None:
        """Close the connections."""
        while not self._idle.empty():
            self._idle.get_nowait().close()


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _wait_of(response: requests.Response) -> timedelta | None:
    """Retry-After in seconds (RFC 9110, section 10.2.3); a date is not waited for."""
    text = response.headers.get("Retry-After", "")
    return timedelta(seconds=min(int(text), _LONGEST_WAIT_S)) if text.isdecimal() else None
