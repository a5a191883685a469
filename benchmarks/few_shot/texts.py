"""The descriptions that `slr_avd` reads in the benchmark: written by a language model, or the glossary's."""

from collections import defaultdict
from pathlib import Path

from hyperclip.adapt.descriptions import clean_descriptions, descriptions_from_glossary
from hyperclip.runtime.specialize import Model

__all__ = ["descriptions_of"]

SOURCE = "descriptors"  # short phrases in the manner of Menon and Vondrick
MIN_SHARE = 0.5  # of the classes that must be described; otherwise the glossary serves all


def descriptions_of(
    data: Path, model: Model, class_names: tuple[str, ...]
) -> tuple[str, dict[str, tuple[str, ...]]]:
    """Return where the descriptions of classes come from, and the descriptions."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(
        data / "text-knowledge" / "descriptions.parquet", filters=[("source", "=", SOURCE)]
    )
    by_name: dict[str, list[str]] = defaultdict(list)
    for row in table.to_pylist():
        by_name[row["class_name"].casefold()].append(row["description"])
    found = {name: by_name[name.casefold()] for name in class_names if name.casefold() in by_name}
    if len(found) >= MIN_SHARE * len(class_names):
        return "language model", clean_descriptions(found, class_names)
    return "glossary", descriptions_from_glossary(model, class_names)
