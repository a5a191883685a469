"""The overlapping lists are what their rules say, and pictures are drawn of the right classes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from benchmarks.overlap.draw_lists import Noun, draw_all, usable_nodes
from benchmarks.overlap.lists import OverlapList, pictures_of, read_lists, write_lists

from hyperclip.runtime.names import same_name_key

# Ten classes: five dogs, three tools, and two words that more commonly mean something else.
NAMES = {
    **{f"n0000000{i}": name for i, name in enumerate(["beagle", "boxer", "collie", "pug", "poodle"])},
    **{f"n0000001{i}": name for i, name in enumerate(["saw", "hammer", "file"])},
    "n00000020": "crane",
    "n00000021": "nail",
}
DOG, TOOL, THING = "n10000000", "n10000001", "n10000002"
PARENTS: Mapping[str, list[str]] = {
    **{f"n0000000{i}": [DOG] for i in range(5)},
    **{f"n0000001{i}": [TOOL] for i in range(3)},
    "n00000020": [THING],
    "n00000021": [THING],
    DOG: [THING],
    TOOL: [THING],
}
NOUNS = {
    **{wnid: Noun((name,), (1,), 9) for wnid, name in NAMES.items()},
    "n00000020": Noun(("crane",), (2,), 9),
    "n00000021": Noun(("nail", "tack"), (3, 1), 9),
    "n10000003": Noun(("crane",), (1,), 9),
    "n10000004": Noun(("nail",), (1,), 9),
    DOG: Noun(("dog",), (1,), 8),
    TOOL: Noun(("tool",), (1,), 8),
    THING: Noun(("thing",), (1,), 2),
}
N_LISTS = {"kind": 12, "complement": 8, "senses": 6}


def draw(seed: int = 0) -> dict[str, list[OverlapList]]:
    return draw_all(NAMES, NOUNS, PARENTS, n_lists=N_LISTS, seed=seed)


def test_a_hypernym_too_high_up_is_no_name() -> None:
    above = {wnid: frozenset([*PARENTS[wnid], THING]) for wnid in NAMES}

    assert [node.name for node in usable_nodes(NAMES, NOUNS, above)] == ["dog", "tool"]


def test_kinds_stand_beside_one_of_theirs_and_three_strangers() -> None:
    for one in draw()["kind"]:
        below = {wnid for wnid in NAMES if PARENTS[wnid] == [{"dog": DOG, "tool": TOOL}[one.names[0]]]}
        (named,) = one.means[1]
        assert named in below
        assert set(one.means[0]) == below - {named}
        assert not below & {wnid for (wnid,) in one.means[2:]}
        assert [NAMES[wnid] for (wnid,) in one.means[1:]] == list(one.names[1:])


def test_other_means_what_is_left_beside_two_of_its_kind() -> None:
    for one in draw()["complement"]:
        assert one.names[0] == "other dog"  # three tools are too few
        named = {wnid for (wnid,) in one.means[1:3]}
        assert len(one.means[0]) == 3
        assert named | set(one.means[0]) == {wnid for wnid in NAMES if PARENTS[wnid] == [DOG]}


def test_only_words_that_more_commonly_mean_another_thing_are_taken() -> None:
    assert {one.names[0] for one in draw()["senses"]} == {"crane", "nail"}


def test_the_seed_alone_decides_and_no_list_repeats() -> None:
    drawn = draw()

    assert drawn == draw()
    assert drawn != draw(seed=1)
    for family, found in drawn.items():
        assert len({frozenset(one.names) for one in found}) == N_LISTS[family]


def test_lists_survive_the_file(tmp_path: Path) -> None:
    path = tmp_path / "lists.json"
    path.write_text(write_lists(draw(), {"seed": 0}), encoding="utf-8")

    assert read_lists(path) == draw()


def test_stored_lists_name_five_different_things() -> None:
    stored = read_lists()

    assert {family: len(found) for family, found in stored.items()} == {
        "kind": 300,
        "complement": 150,
        "senses": 150,
    }
    for one in (one for found in stored.values() for one in found):
        wnids = [wnid for meant in one.means for wnid in meant]
        assert len({same_name_key(name) for name in one.names}) == len(one.means) == 5
        assert len(set(wnids)) == len(wnids)
        assert all(one.means)


@pytest.mark.parametrize("n_each", [2, 100])
def test_pictures_show_what_their_name_means(n_each: int) -> None:
    one = OverlapList(("dog", "pug"), (("a", "b"), ("c",)))
    labels = np.arange(30) % 4

    rows, target = pictures_of(
        one, {"a": 0, "b": 2, "c": 3}, labels, n_each=n_each, rng=np.random.default_rng(0)
    )

    assert set(labels[rows[target == 1]]) == {3}
    assert set(labels[rows[target == 0]]) <= {0, 2}
    assert len(set(rows.tolist())) == len(rows)
    assert np.bincount(target).tolist() == [min(n_each, 15), min(n_each, 7)]
