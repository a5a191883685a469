"""Words for things that WordNet 3.0 knows under another name: newer things, and names of common data sets."""

from collections.abc import Sequence

from hyperclip.export.wordnet_nouns import Synset

__all__ = ["MORE_WORDS", "add_words"]

MORE_WORDS = {
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
    "ramen": "n07699584",  # noodle
    "smartphone": "n02992529",  # cellular telephone
    "smartwatch": "n03197337",  # digital watch
    "tablet computer": "n03985232",  # portable computer
    "traffic signal": "n03665366",  # light
    "usb stick": "n03359436",  # flash memory
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
