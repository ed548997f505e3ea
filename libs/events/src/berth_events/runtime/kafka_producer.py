"""Publishing to Kafka with an idempotent producer."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from berth_events.runtime.bus import BusError, Message, acknowledgements, refuse_too_large
from berth_events.runtime.kafka_client import abandon, deadline, end

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["KafkaProducer"]

_CONNECT_S: Final = 10
_REQUEST_MS: Final = 10_000
#: An idempotent producer never gives up by itself; a leader that was killed is replaced within about 5 s.
_PUBLISH_S: Final = 20
_MAX_REQUEST_BYTES: Final = 1_000_000
_BATCH_BYTES: Final = 128 * 1024


class KafkaProducer:
    """A connected producer: see `connect`."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._broken = False

    @classmethod
    async def connect(cls, bootstrap: str, client_id: str) -> "KafkaProducer":
        """Connect and get a producer id.

        Raises:
            BusError: Kafka cannot be reached in time.
        """
        client = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            client_id=client_id,
            enable_idempotence=True,
            acks="all",
            linger_ms=0,  # publish gathers; lingering would delay single messages
            max_batch_size=_BATCH_BYTES,
            max_request_size=_MAX_REQUEST_BYTES,
            request_timeout_ms=_REQUEST_MS,
            metadata_max_age_ms=30_000,
        )
        producer = cls(client)
        try:
            async with deadline(_CONNECT_S, "a new producer"):
                await client.start()
        except BaseException:
            await abandon(client, *producer._parts())
            raise
        return producer

    async def publish(self, messages: Sequence[Message]) -> Sequence[bool]:
        """See `berth_events.runtime.bus.Producer`."""
        refuse_too_large(messages)
        if self._broken:
            raise BusError("this producer failed before; make a new one")
        self._broken = True  # until everything was acknowledged; also when this is cancelled
        sent: list[asyncio.Future[Any]] = []
        problem: BaseException | None = None
        try:
            async with asyncio.timeout(_PUBLISH_S):
                for message in messages:
                    sent.append(await self._send(message))  # noqa: PERF401 - what was sent counts when the time is over
                if sent:
                    await asyncio.wait(sent)
        except (TimeoutError, KafkaError, OSError) as error:
            problem = error
        finally:
            for future in sent:
                future.cancel()  # of those that are done it changes nothing
        stored = [_succeeded(future) for future in sent] + [False] * (len(messages) - len(sent))
        if all(stored):
            self._broken = False
            return stored
        await abandon(self._client, *self._parts())  # nothing of this batch may arrive later
        if not any(stored):
            problem = problem or next(filter(None, map(_error, sent)), None)
            raise BusError(f"Kafka acknowledged nothing: {problem!r}") from problem
        return acknowledgements(messages, stored)

    async def close(self) -> None:
        """See `berth_events.runtime.bus.Producer`."""
        if self._broken:
            await abandon(self._client, *self._parts())
        else:
            await end(self._client, *self._parts())

    async def _send(self, message: Message) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = await self._client.send(
            message.topic, message.value, key=message.key, headers=list(message.headers)
        )
        return future

    def _parts(self) -> "Iterable[Any]":
        client = self._client
        return client._message_accumulator, client._sender, client.client  # noqa: SLF001


def _error(future: "asyncio.Future[Any]") -> BaseException | None:
    return None if future.cancelled() else future.exception()


def _succeeded(future: "asyncio.Future[Any]") -> bool:
    return not future.cancelled() and future.exception() is None
