"""Templates are checked, and names are put into them as they are."""

import numpy as np
import pytest

from hyperclip.data.prompts import expand_names, load_templates
from hyperclip.errors import InputError


def test_a_file_gives_one_template_a_line(tmp_path):
    path = tmp_path / "templates.txt"
    path.write_text("# usual ones\n{}\n\n  a photo of a {}.  \n{}\n", encoding="utf-8")

    assert load_templates(path) == ("{}", "a photo of a {}.")


@pytest.mark.parametrize("templates", [[], ["a photo"], ["{} and {}"], ["{}", "{name}"], [" "]])
def test_a_template_needs_exactly_one_place_for_the_name(templates):
    with pytest.raises(InputError, match="expected"):
        load_templates(templates)


def test_a_bad_file_is_named(tmp_path):
    path = tmp_path / "templates.txt"
    with pytest.raises(InputError, match=r"templates\.txt cannot be read"):
        load_templates(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"templates\.txt cannot be read"):
        load_templates(path)
    path.write_text("no place")
    with pytest.raises(InputError, match=r"templates\.txt: The template 'no place'"):
        load_templates(path)
    path.write_text("x" * (2**20 + 1))
    with pytest.raises(InputError, match=r"templates\.txt is larger"):
        load_templates(path)


def test_expansion_keeps_names_together_and_says_which_is_which():
    prompts = expand_names(["cat", "{}", "{0}"], ["{}", "a {}."])

    assert prompts.texts == ("cat", "a cat.", "{}", "a {}.", "{0}", "a {0}.")
    np.testing.assert_array_equal(prompts.class_index, [0, 0, 1, 1, 2, 2])
