"""Phrases that mean nothing, as a control for descriptions."""

from collections.abc import Sequence

import numpy as np

__all__ = ["random_phrases"]

WORDS = """
about above again air almost along always angle answer apart apple april arrow autumn away balance basket
beside better between bitter borrow bottle bread bridge brother button candle carry castle center chance
cheap circle clever climb cloud coin corner cotton count cousin crowd dance danger desert dinner distant
doctor double dream early earth eight empty engine enough evening every family famous father fever field
finger flame floor forest forget fortune fresh garden gentle glass golden grain hammer harbor harvest
heavy history hollow honest hundred hungry island jacket journey kitchen ladder laugh learn letter lucky
market meadow melody memory message middle minute mirror morning mother mountain needle never night noble
north nothing number ocean often orange palace paper pencil people piano pocket poem quarter question
quick quiet rabbit rather reason ribbon river rough sailor salt seldom seven shadow shelter shout silence
simple singer sister sleep slow smooth soldier spring station stone story strange street sudden sugar
summer sunday supper sweet table teacher theater thirty thread thunder ticket tiger tower travel trumpet
tunnel twelve uncle under valley velvet village violin visit voice wagon wander water weather wedding
whisper window winter wisdom without wonder yellow yesterday young
"""


def random_phrases(phrases: Sequence[str], *, seed: int) -> list[str]:
    """Return as many different phrases of as many words, drawn at random.

    Parameters
    ----------
    phrases : sequence of str
    seed : int
        The same phrases and seed give the same result.

    Examples
    --------
    >>> [len(phrase.split()) for phrase in random_phrases(["four legs", "long soft ears"], seed=0)]
    [2, 3]
    """
    rng = np.random.default_rng(seed)
    words = WORDS.split()
    drawn: list[str] = []
    seen: set[str] = set()
    for phrase in phrases:
        n_words = max(1, len(phrase.split()))
        for _ in range(1000):  # single words run out where there are more of them than words here
            text = " ".join(rng.choice(words, n_words))
            if text not in seen:
                break
        seen.add(text)
        drawn.append(text)
    return drawn
