"""Which nodes there are, what they cover, and how leaves are named apart."""

import numpy as np
import pytest

from hyperclip.data.hierarchy import Hierarchy
from hyperclip.errors import InputError

PARENTS = {
    "n_tabby": ["n_cat"],
    "n_siamese": ["n_cat"],
    "n_cat": ["n_animal", "n_pet"],
    "n_poodle": ["n_dog"],
    "n_dog": ["n_animal", "n_pet"],
    "n_toy_poodle": ["n_poodle"],
    "n_fox": ["n_animal"],
}
NAMES = {
    "n_cat": ["cat"],
    "n_dog": ["dog"],
    "n_animal": ["animal", "beast"],
    "n_pet": ["pet"],
    "n_fox": ["fox"],
    "n_toy_poodle": ["toy poodle"],
    "n_kettle": ["kettle"],
    "n_feline": ["Cat"],
}
LEAVES = [("n_tabby", ["tabby"]), ("n_siamese", ["Siamese"]), ("n_poodle", ["poodle"])]


def build(strangers=()):
    return Hierarchy.build(LEAVES, parents=PARENTS, names=NAMES, strangers=strangers)


def test_leaf_sets_hold_every_leaf_below_a_node_by_any_path():
    leaf_sets = build().leaf_sets

    assert leaf_sets == {
        "n_tabby": (0,),
        "n_siamese": (1,),
        "n_poodle": (2,),
        "n_cat": (0, 1),
        "n_dog": (2,),
        "n_animal": (0, 1, 2),
        "n_pet": (0, 1, 2),
    }


def test_leaves_come_first_in_the_given_order_then_inner_nodes():
    hierarchy = build()

    assert hierarchy.wnids == ("n_tabby", "n_siamese", "n_poodle", "n_animal", "n_cat", "n_dog", "n_pet")
    assert hierarchy.names[3] == ("animal", "beast")
    assert hierarchy.leaf_index == {"n_tabby": 0, "n_siamese": 1, "n_poodle": 2}


def test_below_is_strict_and_transitive():
    hierarchy = build()
    animal = hierarchy.wnids.index("n_animal")

    assert not hierarchy.below.diagonal().any()
    assert set(np.flatnonzero(hierarchy.below[animal])) == {0, 1, 2, 4, 5}


def test_children_are_only_the_nodes_directly_below():
    hierarchy = build()
    children = {
        wnid: {hierarchy.wnids[child] for child in group}
        for wnid, group in zip(hierarchy.wnids, hierarchy.children, strict=False)
    }

    assert children["n_animal"] == {"n_cat", "n_dog"}
    assert children["n_cat"] == {"n_tabby", "n_siamese"}
    assert children["n_tabby"] == set()


def test_strangers_that_a_picture_could_show_are_left_out():
    hierarchy = build(strangers=["n_fox", "n_toy_poodle", "n_animal", "n_feline", "n_kettle", "n_kettle"])

    # the toy poodle is below a leaf, the animal above one, and "Cat" is also the name of a covering node
    assert hierarchy.wnids[hierarchy.n_covering :] == ("n_fox", "n_kettle")


def test_leaf_names_are_unique_after_case_folding():
    leaves = [
        ("n1", ["crane"]),
        ("n2", ["Crane"]),
        ("n3", ["Cardigan", "Welsh corgi"]),
        ("n4", ["cardigan"]),
    ]
    hierarchy = Hierarchy.build(
        leaves, parents={"n1": ["n8"], "n2": ["n9"]}, names={"n8": ["bird"], "n9": ["machine"]}
    )

    assert hierarchy.leaf_names == ("crane (bird)", "Crane (machine)", "Welsh corgi", "cardigan")


@pytest.mark.parametrize(
    ("leaves", "parents", "problem"),
    [
        ([], {}, "no leaf classes"),
        ([("n1", ["a"]), ("n1", ["b"])], {}, "n1 repeat"),
        ([("n1", [])], {}, "no names"),
        ([("n1", ["a"])], {"n1": ["n2"], "n2": ["n1"]}, "above itself"),
        ([("n1", ["a"])], {"n1": ["n2"], "n2": ["n3"], "n3": ["n2"]}, "above itself"),
    ],
)
def test_build_refuses_what_is_no_hierarchy(leaves, parents, problem):
    with pytest.raises(InputError, match=problem):
        Hierarchy.build(leaves, parents=parents, names={})
