"""Words for what WordNet 3.0 knows under another name, and words whose commonest sense is another today."""

from collections.abc import Sequence

from hyperclip.export.wordnet_nouns import Synset

__all__ = ["COMMONEST", "MORE_WORDS", "add_words", "correct_ranks"]

MORE_WORDS = {
    "buddha": "n04306847",  # statue
    "baozi": "n07702193",  # dumpling
    "campfire": "n13480848",  # fire, flame
    "e-scooter": "n04149374",  # scooter
    "earbud": "n03261776",  # earphone
    "hoodie": "n04370456",  # sweatshirt
    "jet ski": "n04562122",  # water scooter
    "kick scooter": "n04149374",  # scooter
    "licence plate": "n03661180",  # license plate
    "milk shake": "n07881800",  # beverage
    "nightstand": "n04379243",  # table
    "potted plant": "n13083023",  # houseplant
    "power outlet": "n04548771",  # wall socket
    "pyramid": "n03743902",  # memorial, monument
    "ramen": "n07699584",  # noodle
    "smartphone": "n02992529",  # cellular telephone
    "smartwatch": "n03197337",  # digital watch
    "tablet computer": "n03985232",  # portable computer
    "traffic signal": "n03665366",  # light
    "usb stick": "n03359436",  # flash memory
}
# WordNet 3.0 has a walrus and a submarine first.
COMMONEST = {
    "nautilus": "n01968897",  # chambered nautilus
    "sea horse": "n01456756",
    "seahorse": "n01456756",
}


def add_words(synsets: Sequence[Synset]) -> list[Synset]:
    """Return the synsets with `MORE_WORDS` as their last words, of which they are the commonest sense."""
    more: dict[str, list[str]] = {}
    for word, wnid in MORE_WORDS.items():
        more.setdefault(wnid, []).append(word)
    return [
        synset.with_words(
            [*synset.lemmas, *more.get(synset.wnid, [])],
            [*synset.ranks, *[1] * len(more.get(synset.wnid, []))],
        )
        for synset in synsets
    ]


def correct_ranks(synsets: Sequence[Synset]) -> list[Synset]:
    """Return the synsets with the senses in `COMMONEST` ranked first; in others these words go last."""
    ranks = {
        (synset.wnid, w): r for synset in synsets for w, r in zip(synset.lemmas, synset.ranks, strict=True)
    }
    corrected = []
    for synset in synsets:
        words = []
        for word, rank in zip(synset.lemmas, synset.ranks, strict=True):
            first = ranks.get((COMMONEST.get(word, ""), word))
            is_first = first is not None and COMMONEST[word] == synset.wnid
            new = rank if first is None else 1 if is_first else rank + (rank < first)
            words.append((first is not None and not is_first, word, new))
        words.sort(key=lambda entry: entry[0])
        corrected.append(synset.with_words([word for _, word, _ in words], [rank for _, _, rank in words]))
    return corrected
