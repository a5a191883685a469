"""Reading class lists and WordNet files."""

import json

import pytest

from hyperclip.data.wordnet import read_hierarchy
from hyperclip.errors import InputError

pyarrow = pytest.importorskip("pyarrow")


def write(folder, *, classes=None, parents=None):
    import pyarrow.parquet

    nouns = {
        "wnid": ["n1", "n2", "n3", "n4"],
        "lemmas": [["electric ray", "torpedo"], ["ray"], ["teapot"], ["nobody"]],
        "sense_rank": [[1, 3], [7], [1], [1]],
        "lexname": ["animal", "animal", "artifact", "person"],
    }
    pyarrow.parquet.write_table(pyarrow.table(nouns), folder / "wordnet-nouns.parquet")
    (folder / "hierarchy.json").write_text(
        json.dumps({"n1": ["n2"], "n2": []} if parents is None else parents)
    )
    default = [{"wnid": "n1", "name": "electric ray", "synonyms": ["electric ray", "torpedo"]}]
    (folder / "classes.json").write_text(json.dumps(default if classes is None else classes))
    return read_hierarchy(folder / "classes.json", text_knowledge=folder)


def test_rare_senses_are_no_synonyms_and_people_no_strangers(tmp_path):
    hierarchy = write(tmp_path)

    assert hierarchy.names[0] == ("electric ray",)
    assert hierarchy.names[1] == ("ray",)  # a first name stays, however rare its sense
    assert hierarchy.wnids == ("n1", "n2", "n3")


def test_a_class_that_wordnet_lacks_keeps_all_its_names(tmp_path):
    hierarchy = write(tmp_path, classes=[{"wnid": "n7", "name": "traffic light", "synonyms": ["stoplight"]}])

    assert hierarchy.names[0] == ("traffic light", "stoplight")


@pytest.mark.parametrize(
    "classes",
    [
        {},
        [3],
        [{"name": "cat"}],
        [{"wnid": "n1", "name": ""}],
        [{"wnid": "n1", "name": "a", "synonyms": "b"}],
    ],
)
def test_a_class_list_of_another_form_is_refused_in_one_sentence(tmp_path, classes):
    with pytest.raises(InputError, match="expected an object with texts"):
        write(tmp_path, classes=classes)


def test_missing_and_broken_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"wordnet-nouns\.parquet cannot be read"):
        read_hierarchy(tmp_path / "classes.json", text_knowledge=tmp_path)
    write(tmp_path)
    (tmp_path / "hierarchy.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        read_hierarchy(tmp_path / "classes.json", text_knowledge=tmp_path)
    with pytest.raises(InputError, match="no object of lists"):
        write(tmp_path, parents=["n1"])


@pytest.mark.data
def test_imagenet_hierarchy_agrees_with_known_facts(shared_data):
    hierarchy = read_hierarchy(
        shared_data / "imagenet-one-each" / "classes.json", text_knowledge=shared_data / "text-knowledge"
    )

    assert hierarchy.n_leaves == 1000
    assert len(hierarchy.leaf_sets["n02084071"]) == 118  # the dogs of ImageNet-1k
    assert hierarchy.leaf_names[134] == "crane (wading bird)"
    assert len({name.casefold() for name in hierarchy.leaf_names}) == 1000
    assert len(hierarchy.wnids) - hierarchy.n_covering > 10_000
