"""Whether descriptions do better than random phrases: several draws, and a rule with a known error rate.

The rule: the words count as carrying something only if the descriptions get more pictures right than each
of `N_DRAWS` independent draws of as many random phrases of the same length. Where the words mean nothing,
the descriptions are one more such draw, and one of 20 draws, all alike, is the best alone in at most 1 of 20
cases: that is the rate of false alarms, whatever the pictures and classes (Barnard 1963; Dwass 1957). Ties
count against the words. Once a draw has done as well the answer is known, so that from `FEWEST_DRAWS` on the
drawing stops there; this changes no answer (Besag and Clifford 1991).
"""

from collections.abc import Callable

from hyperclip.runtime.adaptation import Words

__all__ = ["FALSE_ALARM_RATE", "FEWEST_DRAWS", "N_DRAWS", "compare_with_draws", "verdict", "words_carry"]

N_DRAWS = 19
FEWEST_DRAWS = 7
FALSE_ALARM_RATE = 1 / (N_DRAWS + 1)


def compare_with_draws(n_images: int, texts: float, judge_draw: Callable[[int], float]) -> Words:
    """Judge draws of random phrases until it is known whether all of them do worse.

    Parameters
    ----------
    n_images : int
        Pictures that the accuracies are of.
    texts : float
        Accuracy with the descriptions, in [0, 1].
    judge_draw : callable
        Takes the number of a draw, from 0, and returns the accuracy with it, found in the same way.

    Examples
    --------
    >>> compare_with_draws(40, 0.5, lambda draw: 0.4 + 0.1 * draw).random[:2]
    (0.4, 0.5)
    """
    random: list[float] = []
    while len(random) < N_DRAWS and (len(random) < FEWEST_DRAWS or max(random) < texts):
        random.append(judge_draw(len(random)))
    return Words(n=n_images, texts=texts, random=tuple(random))


def words_carry(words: Words) -> bool | None:
    """Tell whether the words carry something, by the rule above; None where too few draws were tried."""
    if words.n_as_good:
        return False
    return True if len(words.random) >= N_DRAWS else None


def verdict(words: Words | None) -> str:
    """Say in one sentence whether the words carry the decision.

    Examples
    --------
    >>> verdict(Words(n=40, texts=0.6, random=(0.5, 0.6, 0.6, 0.7, 0.5, 0.7, 0.8)))
    'Random phrases of the same number and length do as well in 5 of 7 draws (0.500 to 0.800 right against \
0.600): the words do not carry the decision.'
    """
    if words is None:
        return "Nothing is known about whether the words matter: random phrases were not tried beside them."
    n_draws, low, high = len(words.random), min(words.random), max(words.random)
    span = f"{low:.3f}" if low == high else f"{low:.3f} to {high:.3f}"
    figures = f"({span} right against {words.texts:.3f})"
    start = "Random phrases of the same number and length do"
    if words_carry(words):
        return (
            f"{start} worse in all {n_draws} draws {figures}, which chance alone does in 1 of {n_draws + 1} "
            "cases: the words carry something."
        )
    if not words.n_as_good:
        draws = "the only draw" if n_draws == 1 else f"all {n_draws} draws"
        return (
            f"{start} worse in {draws} {figures}, but {N_DRAWS} draws are needed to tell: it is not known "
            "whether the words carry the decision; adapt again."
        )
    draws = "the only draw" if n_draws == 1 else f"{words.n_as_good} of {n_draws} draws"
    if 2 * words.n_as_good < n_draws:
        return f"{start} as well in {draws} {figures}: it is not shown that the words carry the decision."
    return f"{start} as well in {draws} {figures}: the words do not carry the decision."
