"""Domain names between the wire and text (RFC 1035 §3.1, §5.1)."""

import re
from typing import Final

__all__ = ["InvalidName", "name_text", "read_name", "skip_name", "wire_name"]

_LABEL_MAX: Final = 63
_NAME_MAX: Final = 255
#: Names of a real message are compressed once or twice; what jumps more often is left to the slow parser.
_JUMPS_MAX: Final = 8
_POINTER: Final = 0xC0
_PLAIN: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
_ESCAPE: Final = re.compile(r"\\([0-9]{3})|\\(.)|(\.)", re.DOTALL)


class InvalidName(ValueError):
    """The bytes are not a domain name, or it is compressed in an unusual way. The message is not read any further."""


def wire_name(text: str) -> bytes | None:
    r"""The wire form of a name, or None when no such name can exist.

    Args:
        text: As `name_text` writes it: `\.` and `\DDD` (RFC 1035 §5.1) stand for a byte of a label, and any other
            character for its own byte (Latin-1).
    """
    try:
        labels = _escaped_labels(text) if "\\" in text else text.encode("latin-1").split(b".") if text else []
        wire = b"".join([bytes((len(label),)) + label for label in labels]) + b"\0"
    except ValueError:  # a character above U+00FF, a number above 255, a label of more than 255 bytes
        return None
    fits = len(wire) <= _NAME_MAX and all(labels) and max(map(len, labels), default=0) <= _LABEL_MAX
    return wire if fits else None


def _escaped_labels(text: str) -> list[bytes]:
    labels, label, position = [], bytearray(), 0
    for match in _ESCAPE.finditer(text):
        label += text[position : match.start()].encode("latin-1")
        position = match.end()
        if match[3]:
            labels.append(bytes(label))
            label.clear()
        else:
            label += bytes((int(match[1]),)) if match[1] else match[2].encode("latin-1")
    rest = text[position:]
    if "\\" in rest:
        raise ValueError(text)
    return [*labels, bytes(label) + rest.encode("latin-1")]


def name_text(labels: list[bytes]) -> str:
    r"""The text of a name: lower case, without a final dot; the root is empty.

    What is no letter, digit, hyphen, underscore or other printable ASCII is written as `\DDD`, a dot or a backslash
    inside a label with a backslash before it, so that different names have different texts.
    """
    joined = b".".join(labels)
    if not joined.translate(None, _PLAIN + b".") and joined.count(b".") == len(labels) - 1:
        return joined.decode("ascii").lower()
    return ".".join("".join(map(_character, label.lower())) for label in labels)


def _character(byte: int) -> str:
    if byte in b".\\":
        return f"\\{byte:c}"
    return chr(byte) if 0x20 < byte < 0x7F else f"\\{byte:03d}"  # noqa: PLR2004 - printable ASCII


def read_name(message: bytes, position: int) -> tuple[str, int]:
    """The name at a position, and the position behind it.

    Raises:
        InvalidName: it is cut off, longer than 255 bytes, or its pointers do not lead backwards, or do so too often.
    """
    labels: list[bytes] = []
    length, jumps, behind, lowest = 1, 0, -1, position
    try:
        while size := message[position]:
            if size <= _LABEL_MAX:
                labels.append(message[position + 1 : position + 1 + size])
                position += 1 + size
                length += 1 + size
                if length > _NAME_MAX:
                    raise InvalidName("longer than 255 bytes")
                continue
            target = (size & ~_POINTER) << 8 | message[position + 1]
            jumps += 1
            if size < _POINTER or target >= lowest or jumps > _JUMPS_MAX:
                raise InvalidName("a pointer that does not lead backwards, or too many of them")
            if behind < 0:
                behind = position + 2
            position = lowest = target
    except IndexError:
        raise InvalidName("cut off") from None
    return name_text(labels), behind if behind >= 0 else position + 1


def skip_name(message: bytes, position: int) -> int:
    """The position behind the name at a position, without following its pointer.

    Raises:
        InvalidName: it is cut off, or longer than 255 bytes.
    """
    start = position
    try:
        while size := message[position]:
            if size >= _POINTER:
                return position + 2
            position += 1 + size
            if size > _LABEL_MAX or position - start > _NAME_MAX:
                raise InvalidName("a label or a name that is too long")
    except IndexError:
        raise InvalidName("cut off") from None
    return position + 1
