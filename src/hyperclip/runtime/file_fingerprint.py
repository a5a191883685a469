"""The fingerprint of a classifier file from its bytes, without parsing or copying what is large in it."""

import hashlib

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from hyperclip.runtime.assemble import FINGERPRINT_KEY

__all__ = ["file_fingerprint"]

METADATA_FIELD = onnx.ModelProto.METADATA_PROPS_FIELD_NUMBER
FIXED_BYTES = {1: 8, 5: 4}  # of wire types
VARINT, DELIMITED = 0, 2
MAX_ENTRY_BYTES = 4096  # the entry is about a hundred bytes
MAX_VARINT_BYTES = 10


def file_fingerprint(data: bytes) -> str | None:
    """Return the SHA-256 of a file's bytes with the value of its fingerprint entry empty.

    Of a file as `hyperclip.runtime.assemble.stamp` writes it, this is `fingerprint_of` its model, which
    needs the model and two more copies of it. Files that another program wrote in another order of bytes
    have another value here.

    Parameters
    ----------
    data : bytes
        A serialized ONNX model; anything else does no harm.

    Returns
    -------
    str or None
        64 hexadecimal digits; None where the bytes are no protobuf message or hold no fingerprint.

    References
    ----------
    Protocol Buffers, "Encoding": a message is a sequence of fields, each a tag and a value whose length
    follows from the tag or stands before it.
    """
    view, place = memoryview(data), 0
    try:
        while place < len(view):
            start = place
            tag, place = _varint(view, place)
            field, wire = tag >> 3, tag & 7
            if wire == VARINT:
                _, place = _varint(view, place)
                continue
            if wire == DELIMITED:
                size, place = _varint(view, place)
            else:
                size = FIXED_BYTES[wire]
            end = place + size
            if end > len(view):
                return None
            if field == METADATA_FIELD and wire == DELIMITED and size <= MAX_ENTRY_BYTES:
                entry = onnx.StringStringEntryProto.FromString(bytes(view[place:end]))
                if entry.key == FINGERPRINT_KEY:
                    entry.value = '""'
                    empty = onnx.ModelProto(metadata_props=[entry]).SerializeToString(deterministic=True)
                    digest = hashlib.sha256(view[:start])
                    digest.update(empty)
                    digest.update(view[end:])
                    return digest.hexdigest()
            place = end
    except (DecodeError, IndexError, KeyError):
        pass
    return None


def _varint(view: memoryview, place: int) -> tuple[int, int]:
    """Return the number at a place and the place behind it; raises `IndexError` if there is none."""
    value = 0
    for number in range(MAX_VARINT_BYTES):
        byte = view[place + number]
        value |= (byte & 0x7F) << (7 * number)
        if byte < 0x80:
            return value, place + number + 1
    raise IndexError
