"""HTTP to the token endpoints and to nothing else, for a bounded time and with bounded answers."""

import json
import math
import ssl
import threading
import time
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

__all__ = ["EndpointFailed", "PinnedSession", "Sessions", "allow_seconds", "origin_of"]

#: Seconds to connect, and of silence while an answer is read.
_TIMEOUT_S: Final = (3, 5)
#: A token has some thousand bytes, a discovery document as many.
_LARGEST_ANSWER: Final = 256 * 1024
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


class _Allowance(threading.local):
    """What is left to a thread: until when it may wait for answers, and how many bytes of the present one it takes."""

    until = math.inf
    size = 0

    @property
    def seconds(self) -> float:
        return self.until - time.monotonic()


_allowance = _Allowance()


@contextmanager
def allow_seconds(seconds: float) -> Iterator[None]:
    """For how long this thread waits for all answers together, however slowly they come: requests limits each silence only."""
    _allowance.until = time.monotonic() + seconds
    try:
        yield
    finally:
        _allowance.until = math.inf


class _Socket(ssl.SSLSocket):
    """Reads within the thread's allowance."""

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        left = _allowance.seconds
        if left <= 0:
            raise _silent()
        silence = self.gettimeout()
        self.settimeout(min(left, silence) if silence else None)
        try:
            count = super().recv_into(buffer, nbytes, flags)
        except TimeoutError as error:
            raise _silent() from error
        finally:
            self.settimeout(silence)
        _allowance.size -= count
        if _allowance.size < 0:
            raise EndpointFailed("MALFORMED", "The token endpoint's answer is too long to be one of OAuth.")
        return count


class _Adapter(HTTPAdapter):
    """Trusts the context's authorities, which it loads once and not at every connection."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        tls.sslsocket_class = _Socket
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
        self.headers["Accept-Encoding"] = "identity"
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
        named |= {"allow_redirects": False, "stream": True}
        response = self._once(method, url, named)
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:  # short of breath, perhaps: grants may be repeated
            response = self._once(method, url, named)
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise EndpointFailed("BUSY", f"The token endpoint answers with {response.status_code}.", _wait_of(response))
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            raise EndpointFailed("THROTTLED", "The token endpoint says that we ask too often.", _wait_of(response))
        if response.is_redirect:
            raise EndpointFailed("MALFORMED", "The token endpoint sends us elsewhere, and Berth does not go there.")
        if not _is_of_oauth(response):
            raise EndpointFailed("MALFORMED", "The token endpoint's answer is not one of OAuth.")
        return response

    def _once(self, method: str, url: str, named: dict[str, Any]) -> requests.Response:
        _allowance.size = _LARGEST_ANSWER
        left = _allowance.seconds
        if left <= 0:
            raise _silent()
        try:
            named["timeout"] = tuple(min(limit, left) for limit in _TIMEOUT_S)
            response = super().request(method, url, **named)
            if "Content-Encoding" in response.headers:  # nobody asked for it, and nobody knows how long it becomes
                response.close()
                raise EndpointFailed("MALFORMED", "The token endpoint's answer is not one of OAuth.")
            response.content  # noqa: B018 - reads it
        except requests.Timeout as error:
            raise _silent() from error
        except requests.exceptions.SSLError as error:
            raise EndpointFailed("UNREACHABLE", "TLS with the token endpoint could not be established.") from error
        except requests.RequestException as error:
            raise EndpointFailed("UNREACHABLE", "The token endpoint cannot be reached.") from error
        return response


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


def _silent() -> EndpointFailed:
    return EndpointFailed("SILENT", "The token endpoint does not answer in time.")


def _is_of_oauth(response: requests.Response) -> bool:
    """Whether the body is a JSON object, and its token, if it has one, of the kind that mail servers take (RFC 6750)."""
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        return False
    return isinstance(body, dict) and str(body.get("token_type", "Bearer")).casefold() == "bearer"


def _wait_of(response: requests.Response) -> timedelta | None:
    """Retry-After in seconds (RFC 9110, section 10.2.3); a date is not waited for."""
    text = response.headers.get("Retry-After", "")
    return timedelta(seconds=min(int(text), _LONGEST_WAIT_S)) if text.isdecimal() else None
