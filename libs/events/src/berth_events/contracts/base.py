"""What every event has in common."""

from typing import Annotated, Any, ClassVar, Final
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, StringConstraints

__all__ = ["Address", "DomainName", "Event", "Identifier", "Text", "Timestamp", "Value", "event_types"]


def _storable(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    value = value.replace("\0", "\ufffd")
    return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


Identifier = UUID
Timestamp = AwareDatetime
#: A host or domain name in its A-label form, lower case, without a final dot. Whoever makes the event has seen to that.
DomainName = Annotated[str, StringConstraints(min_length=1, max_length=253)]
#: An email address as the platform team gave it, without blanks around it. Whoever makes the event has seen to that.
Address = Annotated[str, StringConstraints(min_length=3, max_length=320)]
#: Text that strangers wrote: users, mail servers, the DNS. NUL, which Postgres' jsonb cannot hold, and lone surrogates, which
#: UTF-8 cannot, become U+FFFD: a hostile banner must not keep a fact from being recorded.
Text = Annotated[str, BeforeValidator(_storable)]

_REGISTRY: Final[dict[tuple[str, int], type["Event"]]] = {}


class Value(BaseModel):
    """A part of an event: frozen; unknown fields of a newer producer are ignored."""

    # infinities and NaN are not JSON: they would be written as null and could not be read back
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Event(Value):
    """A fact that was committed. The class name is the event type; a class is one version of it.

    Subclasses name their `topic`, their schema `version` (default 1) and `key_field`: the field that holds the id of the
    aggregate, which is the Kafka key, so that the events of one aggregate keep their order.
    """

    topic: ClassVar[str]
    key_field: ClassVar[str]
    version: ClassVar[int] = 1

    def __init_subclass__(cls, *, abstract: bool = False, **kwargs: Any) -> None:
        """Register the type, unless it only carries fields for others, so that a record can be read back by its name."""
        super().__init_subclass__(**kwargs)
        if not abstract:
            _REGISTRY[cls.__name__, cls.version] = cls

    @property
    def aggregate_id(self) -> UUID:
        """The id of the aggregate that the fact belongs to."""
        value: UUID = getattr(self, self.key_field)
        return value


def event_types() -> dict[tuple[str, int], type[Event]]:
    """Every known event class by (type, version)."""
    return dict(_REGISTRY)
