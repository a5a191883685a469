"""What a glossary must not hold: slurs, vulgar words, and insults that ordinary words also are.

Nobody wants to read that a "bird" in a list of people is a young woman. So senses of people that
WordNet marks as insult, slang or informal go, whole families of insults with them; of the words for
private parts only those stay that mean nothing else.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from hyperclip.export.offensive_words import ALWAYS, NOT_SHOWN, OF_PEOPLE
from hyperclip.export.wordnet_nouns import Synset
from hyperclip.runtime.word_forms import letters

__all__ = ["is_rude", "remove_offensive"]

# Plants and places that nobody is hurt by, although they hold a word of the lists.
HARMLESS = frozenset(("pussy willow", "honky-tonk"))

DELICATE_KINDS = frozenset(("act", "body", "person", "process", "substance"))

OFFENSIVE_GLOSS = re.compile(
    r"\b(ethnic slur|offensive (and \w+ )?(terms?|names?|slang|British)|(considered|sometimes) offensive|"
    r"regarded as offensive|vulgar (slang|terms?)|is vulgar|derogatory|obscene|disparaging|"
    r"insulting|abusive|pejorative|contemptible|contemptuous|terms? of (contempt|abuse|endearment)|"
    r"coarse terms?|taboo|slang|uncomplimentary|despicable|nonstandard|"
    r"informal (terms?|words?|names?)(?! for a (father|mother)))\b",
    re.IGNORECASE,
)
SEXUAL_GLOSS = re.compile(
    r"\b(sexual(ly)?|sexy|sexiness|seduc\w*|prostitut\w*|promiscu\w*|erotic\w*|lewd\w*|lecher\w*|licentious\w*|"
    r"dissolute|effeminate|perver\w*|copulat\w*|masturbat\w*|brothel|stripteases?|pornograph\w*|rape[sd]?)\b",
    re.IGNORECASE,
)
# With everything below them: unwelcome persons, simpletons, fools, weaklings, libertines, perverts,
# prostitutes, sexual activities, sexual love.
OFFENSIVE_FAMILIES = (
    "n09631129", "n10599354", "n10100761", "n10771636", "n10257647", "n10419047", "n10485440",
    "n00844254", "n00846515",
)  # fmt: skip
# With everything below them: reproductive organs, genitals, breast, buttocks, anus, body waste,
# defecation and urination. Here only words stay that mean nothing more common.
DELICATE_FAMILIES = (
    "n05514410",
    "n05525252",
    "n05553288",
    "n05559256",
    "n05538016",
    "n14853947",
    "n13473097",
)
DELICATE_GLOSS = re.compile(
    r"\b(genitals?|genitalia|penis|vulva|vagina|clitoris|scrotum|testes|testicles?|testis|"
    r"reproductive glands?|anus|buttocks?|nipples?|mammary|urinat\w+|urine|defecat\w+|feces|excrement|flatus|"
    r"intestinal gas|vomit\w*)\b",
    re.IGNORECASE,
)


def remove_offensive(synsets: Sequence[Synset], parents: Mapping[str, Sequence[str]]) -> list[Synset]:
    """Return the synsets without offensive ones, and without offensive words in the others.

    Parameters
    ----------
    synsets : sequence of Synset
        Of WordNet.
    parents : mapping of str to sequence of str
        WordNet id to the ids of its direct hypernyms.

    Returns
    -------
    list of Synset
        In the same order; a synset that lost all its words is gone.
    """

    def is_below(wnid: str, roots: frozenset[str]) -> bool:
        return wnid in roots or any(is_below(parent, roots) for parent in parents.get(wnid, ()))

    offensive, delicate = frozenset(OFFENSIVE_FAMILIES), frozenset(DELICATE_FAMILIES)
    kept: list[Synset] = []
    gone: defaultdict[str, list[int]] = defaultdict(list)
    for synset in synsets:
        is_offensive = is_below(synset.wnid, offensive) or _is_offensive(synset)
        is_delicate = is_below(synset.wnid, delicate) or (
            synset.kind in DELICATE_KINDS and DELICATE_GLOSS.search(synset.definition) is not None
        )
        words = []
        for lemma, rank in zip(synset.lemmas, synset.ranks, strict=True):
            if is_offensive or _is_banned(lemma, synset.kind) or (is_delicate and rank > 1):
                gone[lemma].append(rank)
            else:
                words.append((lemma, rank))
        if words:
            lemmas, ranks = zip(*words, strict=True)
            kept.append(synset.with_words(lemmas, ranks))
    # What was less common than a sense that is gone moves up.
    return [
        synset.with_words(
            synset.lemmas,
            [
                rank - sum(other < rank for other in gone[lemma])
                for lemma, rank in zip(synset.lemmas, synset.ranks, strict=True)
            ],
        )
        for synset in kept
    ]


def is_rude(lemma: str) -> bool:
    """Tell whether a word of some plant, animal or thing is better not shown: a donkey's other name."""
    return any(_hash(part) in NOT_SHOWN for part in (lemma, *re.split(r"[\s'-]+", lemma)))


def _is_offensive(synset: Synset) -> bool:
    """Tell whether a synset of people, bodies or acts is an insult or an obscenity."""
    if synset.kind not in DELICATE_KINDS:
        return False
    if OFFENSIVE_GLOSS.search(synset.definition):
        return True
    return synset.kind in ("act", "person") and SEXUAL_GLOSS.search(synset.definition) is not None


def _is_banned(lemma: str, kind: str) -> bool:
    """Tell whether a word, or one of the words in it, is on the lists."""
    if lemma in HARMLESS:
        return False
    parts = {
        _hash(form) for part in (lemma, *re.split(r"[\s'-]+", lemma)) for form in (part, part.rstrip("s"))
    }
    return bool(parts & ALWAYS) or (kind in DELICATE_KINDS and _hash(lemma) in OF_PEOPLE)


def _hash(word: str) -> str:
    return hashlib.sha256(letters(word).encode()).hexdigest()[:12]
