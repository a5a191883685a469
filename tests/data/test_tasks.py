"""Drawn tasks: proportions, sizes, what is never named, and targets for pictures."""

import time
from collections import Counter
from dataclasses import fields

import numpy as np
import pytest

from hyperclip.data.hierarchy import Hierarchy
from hyperclip.data.task_config import TASK_KINDS, TaskConfig
from hyperclip.data.tasks import Task, TaskSampler, caption_task, leaf_shares, soft_targets
from hyperclip.errors import InputError

N_FAMILIES, FAMILY = 8, 6


def make_hierarchy():
    """Eight families of six leaves under two realms under one root, and 40 strangers."""
    leaves, parents, names, strangers = [], {"realm0": ["root"], "realm1": ["root"]}, {"root": ["thing"]}, []
    names |= {"realm0": ["realm zero"], "realm1": ["realm one"]}
    for family in range(N_FAMILIES):
        parents[f"f{family}"] = [f"realm{family % 2}"]
        names[f"f{family}"] = [f"family {family}", f"kin {family}"]
        for member in range(FAMILY):
            wnid = f"l{family}{member}"
            leaves.append((wnid, [f"leaf {family}{member}", f"synonym {family}{member}"]))
            parents[wnid] = [f"f{family}"]
    for index in range(40):
        names[f"s{index}"] = [f"stranger {index}"]
        strangers.append(f"s{index}")
    return Hierarchy.build(leaves, parents=parents, names=names, strangers=strangers)


HIERARCHY = make_hierarchy()
EMBEDDINGS = np.random.default_rng(5).normal(size=(HIERARCHY.n_covering, 16))


def only(kind, **values):
    """Return a config of one kind of task."""
    return TaskConfig(**(dict.fromkeys(TASK_KINDS, 0.0) | {kind: 1.0} | {"n_max": 40} | values))


def sampler(config, **held_out):
    return TaskSampler(HIERARCHY, config, embeddings=EMBEDDINGS, **held_out)


def draw_many(config, n=300, **held_out):
    sampling = sampler(config, **held_out)
    return [sampling.sample(np.random.default_rng([7, index])) for index in range(n)]


def assert_sound(task):
    keys = [name.casefold() for name in task.names]
    assert len(set(keys)) == len(keys)
    assert len(task.names) == len(task.wnids) == len(task.membership)
    covering = task.membership[task.membership.any(axis=1)]
    assert len(np.unique(covering, axis=0)) == len(covering)
    for wnid, row in zip(task.wnids, task.membership, strict=True):
        assert tuple(np.flatnonzero(row)) == HIERARCHY.leaf_sets.get(wnid, ())


def test_a_task_is_a_pure_function_of_the_generator():
    first, second = draw_many(TaskConfig(n_max=40), 30), draw_many(TaskConfig(n_max=40), 30)

    for a, b in zip(first, second, strict=True):
        for field in fields(Task):
            np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name))


def test_tasks_of_every_kind_are_sound():
    tasks = draw_many(TaskConfig(n_max=40), 600)

    assert {task.kind for task in tasks} == set(TASK_KINDS)
    for task in tasks:
        assert_sound(task)


def test_kinds_and_empty_contexts_come_in_the_stated_proportions():
    n = 2000
    config = TaskConfig(n_max=5)
    tasks = draw_many(config, n)
    count = Counter(task.kind for task in tasks)
    total = sum(getattr(config, kind) for kind in TASK_KINDS)

    for kind in TASK_KINDS:
        share = getattr(config, kind) / total
        # four standard deviations of a binomial share
        assert abs(count[kind] / n - share) < 4 * np.sqrt(share * (1 - share) / n), kind
    assert abs(np.mean([not task.has_context for task in tasks]) - 0.1) < 4 * np.sqrt(0.09 / n)


def test_sizes_are_log_uniform_between_the_limits():
    sizes = [
        len(task.names)
        for task in draw_many(only("random_leaves", n_min=4, n_max=31, distractor_tasks=0), 1500)
    ]

    assert min(sizes) == 4
    assert max(sizes) == 31
    for low, high in ((4, 8), (8, 16), (16, 32)):  # equal ratios are equally frequent
        share = np.mean([low <= size < high for size in sizes])
        assert abs(share - 1 / 3) < 4 * np.sqrt(2 / 9 / 1500)


@pytest.mark.parametrize("kind", [kind for kind in TASK_KINDS if kind != "all_leaves"])
def test_every_kind_reaches_its_size(kind):
    for task in draw_many(only(kind, n_min=12, n_max=12), 50):
        assert len(task.names) == 12, kind


def test_siblings_share_a_parent():
    for task in draw_many(only("siblings", n_min=4, n_max=4, distractor_tasks=0), 50):
        families = {wnid[:-1] for wnid in task.wnids}
        assert len(families) == 1


def test_subtrees_stay_below_one_node():
    config = only("subtrees", n_min=6, n_max=6, distractor_tasks=0, max_inner_share=0.5)
    realms = [{int(wnid[1]) % 2 for wnid in task.wnids} for task in draw_many(config, 60)]
    families = [{wnid[1] for wnid in task.wnids} for task in draw_many(config, 60)]

    assert all(len(realm) == 1 for realm in realms)
    assert max(map(len, families)) > 1  # a realm's leaves, not only a family's


def test_mixed_levels_put_a_node_beside_one_below_it_among_strangers():
    for task in draw_many(
        only("mixed_levels", n_min=5, n_max=5, distractor_tasks=0, max_inner_share=0.5), 50
    ):
        rows = task.membership.astype(int)
        n_nested = ((rows @ rows.T == rows.sum(axis=1)[:, None]) & ~np.eye(5, dtype=bool)).sum()
        assert n_nested == 1


def test_inner_nodes_leave_out_what_covers_too_much():
    for task in draw_many(only("inner_nodes", n_min=3, n_max=3, distractor_tasks=0), 50):
        assert all(wnid.startswith("f") for wnid in task.wnids)  # a realm covers half, the root everything


def test_all_leaves_is_the_full_context_whatever_n_max():
    (task,) = draw_many(only("all_leaves", n_max=3), 1)

    assert len(task.names) == HIERARCHY.n_leaves
    np.testing.assert_array_equal(task.membership.sum(axis=0), 1)


def test_neighbors_without_temperature_are_the_nearest():
    unit = EMBEDDINGS[: HIERARCHY.n_leaves] / np.linalg.norm(
        EMBEDDINGS[: HIERARCHY.n_leaves], axis=1, keepdims=True
    )
    order = np.argsort(-(unit @ unit.T), axis=1)[:, :5]
    expected = {frozenset(row) for row in order.tolist()}
    config = only("neighbors", n_min=5, n_max=5, distractor_tasks=0, neighbor_temperature=0.0)
    sampling = TaskSampler(HIERARCHY, config, embeddings=EMBEDDINGS[: HIERARCHY.n_leaves])

    for index in range(40):
        task = sampling.sample(np.random.default_rng(index))
        assert frozenset(HIERARCHY.leaf_index[wnid] for wnid in task.wnids) in expected


def test_synonyms_are_used_in_the_stated_share():
    tasks = draw_many(only("random_leaves", n_min=20, n_max=20, synonyms=0.3, distractor_tasks=0), 100)
    share = np.mean([name.startswith("synonym") for task in tasks for name in task.names])

    assert abs(share - 0.3) < 4 * np.sqrt(0.21 / 2000)


def test_distractors_cover_nothing_and_come_in_the_stated_share():
    n_empty = [
        int((~task.membership.any(axis=1)).sum())
        for task in draw_many(
            only("random_leaves", n_min=10, n_max=10, distractor_tasks=0.5, distractor_share=0.3), 400
        )
    ]

    assert set(n_empty) == {0, 3}
    assert abs(np.mean([count > 0 for count in n_empty]) - 0.5) < 4 * np.sqrt(0.25 / 400)


def test_held_out_leaves_nodes_and_names_never_appear():
    tasks = draw_many(
        TaskConfig(n_max=40, synonyms=0.5),
        400,
        held_out_leaves=[3, 17],
        held_out_wnids=["f2"],
        held_out_names=["LEAF 50", "synonym 51", "stranger 3"],
    )
    names = {name.casefold() for task in tasks for name in task.names}
    wnids = {wnid for task in tasks for wnid in task.wnids}

    assert not wnids & {HIERARCHY.wnids[3], HIERARCHY.wnids[17], "f2", "s3"}
    banned = {"family 2", "kin 2", "leaf 50", "synonym 51", "stranger 3"}
    banned |= {name.casefold() for leaf in (3, 17) for name in HIERARCHY.names[leaf]}
    assert not names & banned
    assert {"synonym 50", "leaf 51"} <= names  # their other names stay
    above = [task for task in tasks if "f0" in task.wnids]
    assert all(task.membership[task.wnids.index("f0"), 3] for task in above)  # still covered


def test_a_held_out_name_is_banned_for_other_nodes_too():
    hierarchy = Hierarchy.build(
        [("n1", ["crane"]), ("n2", ["Crane", "derrick"]), ("n3", ["dog"])], parents={}, names={}
    )
    sampling = TaskSampler(hierarchy, TaskConfig(neighbors=0), held_out_leaves=[0])

    names = {name for seed in range(60) for name in sampling.sample(np.random.default_rng(seed)).names}
    assert names == {"derrick", "dog"}


def test_leaves_with_the_same_only_name_are_told_apart_where_both_occur():
    hierarchy = Hierarchy.build(
        [("n1", ["crane"]), ("n2", ["crane"])],
        parents={"n1": ["n8"], "n2": ["n9"]},
        names={"n8": ["bird"], "n9": ["machine"]},
    )
    task = TaskSampler(hierarchy, only("all_leaves")).sample(np.random.default_rng(0))

    assert sorted(task.names) in (["crane", "crane (bird)"], ["crane", "crane (machine)"])


def test_a_leaf_whose_only_name_is_the_synonym_of_another_is_not_lost():
    hierarchy = Hierarchy.build([("n1", ["sofa", "couch"]), ("n2", ["couch"])], parents={}, names={})
    sampling = TaskSampler(hierarchy, only("all_leaves", synonyms=1.0))

    drawn = {frozenset(sampling.sample(np.random.default_rng(seed)).names) for seed in range(20)}
    assert drawn == {frozenset({"couch", "couch (n2)"})}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"embeddings": None}, "there are no embeddings"),
        ({"embeddings": EMBEDDINGS[:5]}, r"shape \(5, 16\)"),
        ({"held_out_leaves": [48]}, "leaf 48 does not exist"),
        ({"held_out_wnids": ["n99"]}, "'n99' is not in the hierarchy"),
        ({"held_out_leaves": range(48)}, "All 48 classes"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(arguments, problem):
    with pytest.raises(InputError, match=problem):
        TaskSampler(HIERARCHY, TaskConfig(), **({"embeddings": EMBEDDINGS} | arguments))


def test_a_task_takes_less_than_five_milliseconds():
    sampling = sampler(TaskConfig(n_min=40, n_max=40))
    start = time.process_time()  # time of other processes does not count
    for index in range(50):
        sampling.sample(np.random.default_rng(index))
    assert (time.process_time() - start) / 50 < 0.005


def test_the_mass_of_a_leaf_goes_to_the_most_specific_name():
    #                      dog          poodle   animal        teapot (no pictures)
    membership = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]], dtype=bool)
    targets, mass = soft_targets(membership, np.array([[0.5, 0.2, 0.1, 0.2]]))

    np.testing.assert_allclose(targets, [[0.25, 0.625, 0.125, 0]], rtol=1e-6)
    np.testing.assert_allclose(mass, [0.8], rtol=1e-6)


def test_equally_specific_names_share_a_leaf():
    shares = leaf_shares(np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1]], dtype=bool))

    np.testing.assert_allclose(
        shares, np.array([[1 / 3, 1 / 2, 0], [1 / 3, 1 / 2, 0], [1 / 3, 0, 1]]), rtol=1e-6
    )


def test_targets_agree_with_a_direct_sum_over_leaves():
    rng = np.random.default_rng(3)
    for task in draw_many(TaskConfig(n_max=40), 40):
        probs = rng.dirichlet(np.full(HIERARCHY.n_leaves, 0.1), size=3)
        expected = np.zeros((3, len(task.names)))
        for leaf in range(HIERARCHY.n_leaves):
            covering = [row for row in range(len(task.names)) if task.membership[row, leaf]]
            if covering:
                fewest = min(task.membership[row].sum() for row in covering)
                winners = [row for row in covering if task.membership[row].sum() == fewest]
                expected[:, winners] += probs[:, [leaf]] / len(winners)
        targets, mass = soft_targets(task.membership, probs)

        np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-5)  # float32 sums
        np.testing.assert_allclose(targets * mass[:, None], expected, atol=1e-6)


def test_a_picture_that_the_task_does_not_cover_has_no_weight():
    targets, mass = soft_targets(np.array([[True, False], [False, False]]), np.array([[0.0, 1.0]]))

    np.testing.assert_array_equal(mass, [0])
    np.testing.assert_array_equal(targets, [[0.5, 0.5]])


def test_targets_refuse_leaves_of_another_hierarchy():
    with pytest.raises(InputError, match="one hierarchy"):
        soft_targets(np.ones((2, 3), dtype=bool), np.ones((1, 4)))


def test_a_caption_task_draws_different_captions_of_different_pictures():
    captions = [["a dog", "one dog"], ["A DOG"], ["a cat", "the cat"], [], "a bird"]
    task = caption_task(captions, n=10, rng=np.random.default_rng(0))
    again = caption_task(captions, n=10, rng=np.random.default_rng(0))

    assert task.names == again.names
    assert {name.split()[-1].casefold() for name in task.names} == {"dog", "cat", "bird"}
    assert len({name.casefold() for name in task.names}) == len(task.names)
    assert task.membership.shape == (len(task.names), 0)
    assert len(caption_task(captions, n=2, rng=np.random.default_rng(0)).names) == 2
    with pytest.raises(InputError, match="expected at least one"):
        caption_task([], n=2, rng=np.random.default_rng(0))


@pytest.mark.data
def test_imagenet_tasks_are_sound_and_fast(shared_data):
    pytest.importorskip("pyarrow")
    from hyperclip.data.wordnet import read_hierarchy

    hierarchy = read_hierarchy(
        shared_data / "imagenet-one-each" / "classes.json", text_knowledge=shared_data / "text-knowledge"
    )
    embeddings = np.random.default_rng(0).normal(size=(hierarchy.n_covering, 384))
    sampling = TaskSampler(hierarchy, TaskConfig(n_max=200), embeddings=embeddings)
    start = time.process_time()
    tasks = [sampling.sample(np.random.default_rng([1, index])) for index in range(200)]
    seconds_a_task = (time.process_time() - start) / 200

    assert seconds_a_task < 0.005
    for task in tasks:
        assert len({name.casefold() for name in task.names}) == len(task.names)
        assert len(task.names) == 1000 or len(task.names) <= 200
    assert any(len(task.names) == 1000 for task in tasks)
