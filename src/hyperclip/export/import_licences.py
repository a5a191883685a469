"""Terms of published weights, as their publishers state them, and what to say where nothing is known.

Only families whose statement is plain are listed; the rest is said to be unknown, never guessed.
"""

from pathlib import Path

from hyperclip.export.imported import Card

__all__ = ["card_of_readme", "card_of_tag", "unknown_card"]

_ALLOWED = "Yes, under the terms of {}."
_RESEARCH = "No: the weights are for research only ({})."
_UNKNOWN = "Unknown: look at the model card of the source before you use it commercially."

# Start of a tag, licence, may it be used commercially.
_TAGS = (
    ("openai", "MIT", True),
    ("laion", "MIT", True),
    ("datacomp", "MIT", True),
    ("commonpool", "MIT", True),
    ("webli", "Apache-2.0", True),
    ("metaclip", "CC-BY-NC-4.0", False),
    ("dfn", "Apple's model terms (research)", False),
)
# Architectures whose only published weights are for research.
_RESEARCH_NAMES = (("MobileCLIP2", "Apple AMLR (research)"), ("MobileCLIP", "Apple AMLR (research)"))
# Licences that forbid commercial use, as model cards name them.
_RESEARCH_LICENCES = ("apple-amlr", "apple-ascl", "amlr", "cc-by-nc")
_FREE_LICENCES = ("mit", "apache-2.0", "bsd", "cc-by-4.0", "cc0", "isc", "unlicense")


def card_of_tag(name: str, tag: str) -> Card:
    """Return the terms of one of open_clip's published weights."""
    origin = f"Imported from open_clip: architecture {name}, weights {tag}."
    for start, licence in _RESEARCH_NAMES:
        if name.startswith(start):
            return Card(licence=licence, commercial_use=_RESEARCH.format(licence), origin=origin)
    for start, licence, is_free in _TAGS:
        if tag.startswith(start):
            use = (_ALLOWED if is_free else _RESEARCH).format(licence)
            return Card(licence=licence, commercial_use=use, origin=origin)
    return Card(licence="unknown", commercial_use=_UNKNOWN, origin=origin)


def unknown_card(what: str) -> Card:
    """Return what to say of weights that came without a word."""
    return Card(licence="unknown", commercial_use=_UNKNOWN, origin=f"Imported: {what}, weights of a file.")


def card_of_readme(path: Path, *, what: str) -> Card:
    """Return the terms that the model card of a folder states in its front matter.

    Parameters
    ----------
    path : Path
        ``README.md``, which need not exist.
    what : str
        What was imported, for the origin.
    """
    origin = f"Imported: {what}."
    try:
        text = path.read_text(encoding="utf-8", errors="replace")[:200_000]
    except OSError:
        return Card(licence="unknown", commercial_use=_UNKNOWN, origin=origin)
    fields = _front_matter(text)
    licence = (fields.get("license_name") or fields.get("license") or ["unknown"])[0][:200]
    lower = licence.lower()
    if any(mark in lower for mark in _RESEARCH_LICENCES):
        use = _RESEARCH.format(licence)
    elif lower.startswith(_FREE_LICENCES):
        use = _ALLOWED.format(licence)
    else:
        use = _UNKNOWN
    data = tuple(entry[:200] for entry in fields.get("datasets", [])[:20])
    return Card(licence=licence, commercial_use=use, origin=origin, training_data=data, text=text)


def _front_matter(text: str) -> dict[str, list[str]]:
    """Return the plain keys and lists between the two lines of dashes; anything else is skipped."""
    lines = text.splitlines()
    if not lines or lines[0].strip() != "---":
        return {}
    fields: dict[str, list[str]] = {}
    key = ""
    for line in lines[1:]:
        if line.strip() == "---":
            break
        entry = line.strip()
        if entry.startswith("- ") and key:
            fields[key].append(entry[2:].strip().strip("'\""))
        elif ":" in line and not line[0].isspace():
            key, _, value = entry.partition(":")
            fields[key] = [value.strip().strip("'\"")] if value.strip() else []
    return fields
