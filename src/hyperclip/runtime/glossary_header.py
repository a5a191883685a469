"""The header of ``glossary.bin``: lengths of vectors, and what each section holds."""

import json
from collections.abc import Mapping

from hyperclip.runtime.class_vectors import CLASS_DIM_MAX, TEXT_DIM_MAX
from hyperclip.runtime.inflate import damaged

__all__ = [
    "CLASS_SECTIONS", "FILE_MAX_BYTES", "HEADER_MAX_BYTES", "ITEM_TYPES", "SECTIONS", "UNPACKED_LATER",
    "read_header",
]  # fmt: skip

HEADER_MAX_BYTES = 4_096
ITEMS_MAX = 4_000_000
FILE_MAX_BYTES = 32 * 2**20
DIM_MAX = 128
SECTIONS = (
    "lemmas", "wnids", "flags", "lemma_counts", "lemma_ids", "ranks", "parent_counts", "parents", "vectors",
)  # fmt: skip
UNPACKED_LATER = ("vectors", "class_vectors")
CLASS_SECTIONS = ("class_block_sizes", "class_vectors", "class_basis")
ITEM_TYPES = ("|u1", "<u2", "<u4")


def read_header(raw: bytes, *, has_classes: bool) -> tuple[dict[str, int], dict[str, tuple[str, int, int]]]:
    """Return the lengths of vectors and, for each section, its item type, item count and stored size."""
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise damaged("its header is not JSON", "a JSON object") from error
    limits = {
        "dim": DIM_MAX,
        **({"class_dim": CLASS_DIM_MAX, "text_dim": TEXT_DIM_MAX} if has_classes else {}),
    }
    if not isinstance(header, dict) or set(header) != {*limits, "sections"}:
        raise damaged("its header has other keys", ", ".join([*limits, "sections"]))
    for key, limit in limits.items():
        dim = header[key]
        if type(dim) is not int or not 1 <= dim <= limit or (key != "text_dim" and dim % 2):
            raise damaged(f"its {key} is {dim!r:.20}", f"an even number up to {limit}")
    sections, names = header["sections"], SECTIONS + (CLASS_SECTIONS if has_classes else ())
    if not isinstance(sections, Mapping) or tuple(sections) != names:
        raise damaged("its sections have other names", ", ".join(names))
    checked: dict[str, tuple[str, int, int]] = {}
    for name, entry in sections.items():
        if not isinstance(entry, list) or len(entry) != 3 or entry[0] not in ITEM_TYPES:
            raise damaged(f"section {name} is not described", "item type, count and size")
        item_type, n_items, stored = entry
        if type(n_items) is not int or type(stored) is not int or min(n_items, stored) < 0:
            raise damaged(f"section {name} has no sizes", "two whole numbers")
        if n_items > ITEMS_MAX or stored > FILE_MAX_BYTES:
            raise damaged(f"section {name} announces {n_items!r:.20} items", f"at most {ITEMS_MAX:,}")
        checked[name] = (item_type, n_items, stored)
    if checked["lemmas"][0] != "|u1":
        raise damaged("its words are not bytes", "bytes")
    if has_classes and checked["class_basis"][:2] != ("<u2", header["class_dim"] * header["text_dim"]):
        raise damaged("its class basis has another size", "class_dim times text_dim numbers of 16 bits")
    return {key: header[key] for key in limits}, checked
