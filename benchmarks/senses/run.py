"""How often the right meaning is read into an ambiguous name.

    python -m benchmarks.senses.run [--glosses VECTORS.npy]

The meanings come from the installed model, as a user would get them. Beside them: the commonest sense,
and what each part of the choice is worth.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.command import data_folder, finish, make_parser, say
from benchmarks.senses.glosses import GlossRule
from benchmarks.senses.lists import NameList, everyday_lists, read_lists
from benchmarks.senses.tables import tables

import hyperclip
from hyperclip.evaluate.metrics import wilson_interval
from hyperclip.runtime import sense_choice
from hyperclip.runtime.glossary import Glossary

HERE = Path(__file__).parent
Choice = Callable[[Sequence[str]], Sequence[str | None]]

# What is changed in `sense_choice`, under the name of the variant.
VARIANTS: Mapping[str, Mapping[str, float]] = {
    "without meaning vectors": {"VECTOR_WEIGHT": 0.0},
    "without kinds": {"KIND_WEIGHT": 0.0},
    "without ranks": {"RANK_WEIGHT": 0.0},
    "without the cost of other words": {"NOT_FIRST_WORD_COST": 0.0},
    "without the cost of people": {"PERSON_COST": 0.0, "COMMON_PERSON_COST": 0.0},
    "without the cost of crops": {"CROP_COST": 0.0},
    "without what was shown": {"LEARNT_BONUS": 0.0},
    "half the priors": {
        "RANK_WEIGHT": 0.5, "NOT_FIRST_WORD_COST": 0.5, "PERSON_COST": 0.5, "COMMON_PERSON_COST": 0.5,
        "CROP_COST": 0.5, "LEARNT_BONUS": 0.5,
    },
    "twice the priors": {
        "RANK_WEIGHT": 2.0, "NOT_FIRST_WORD_COST": 2.0, "PERSON_COST": 2.0, "COMMON_PERSON_COST": 2.0,
        "CROP_COST": 2.0, "LEARNT_BONUS": 2.0,
    },
}  # fmt: skip


def main() -> None:
    """Command line of the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument("--model", default="small", help="name or folder of the model")
    parser.add_argument("--glossary", type=Path, help="a glossary.bin instead of the model's")
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of the data sets")
    parser.add_argument(
        "--glosses", type=Path, metavar="FILE.npy",
        help="sentence vectors of the whole glosses, as the glossary's builder keeps them: also try these",
    )  # fmt: skip
    options = parser.parse_args()

    knowledge = options.data / "text-knowledge"
    if options.glossary is None:
        model = hyperclip.load(options.model)
        glossary = model.glossary
        if glossary is None:
            parser.error(f"the model {options.model} has no glossary")
        choice: Choice = lambda names: [meaning.wnid for meaning in model.texts(names).meanings]  # noqa: E731
    else:
        glossary = Glossary.read(options.glossary.read_bytes())
        choice = _choice_of(glossary)
    lists = {
        "dev": read_lists(knowledge / "senses-dev.json"),
        "held_out": read_lists(HERE / "held_out.json"),
        "fresh": read_lists(HERE / "fresh.json"),
        **everyday_lists(knowledge, glossary),
    }
    lists = {name: found[: options.limit] for name, found in lists.items()}
    metrics: dict[str, Any] = {"lists": {}, "variants": {}, "wrong": {}}
    choices = {"commonest": lambda names: [_commonest(glossary, name) for name in names], "chosen": choice}
    if options.glosses is not None:
        choices["glosses"] = GlossRule(knowledge, options.glosses)
    for name, found in lists.items():
        metrics["lists"][name] = {"n_lists": len(found)}
        for kind, choose in choices.items():
            right, wrong = _count(choose, found)
            n_names = right + len(wrong)
            low, high = wilson_interval(right, n_names)
            metrics["lists"][name][kind] = {
                "right": right, "n_names": n_names, "accuracy": right / n_names, "interval": [low, high],
            }  # fmt: skip
            if kind == "chosen" and not name.startswith("lvis"):
                metrics["wrong"][name] = wrong
            say(f"{name}, {kind}: {right} of {n_names}")
    for variant, factors in VARIANTS.items():
        with _changed(factors):
            counts = {name: _count(_choice_of(glossary), found)[0] for name, found in lists.items()}
        metrics["variants"][variant] = counts
        say(f"{variant}: {counts}")
    finish("senses", metrics, options, tables=tables, n_threads=None)


def _choice_of(glossary: Glossary) -> Choice:
    return lambda names: [None if meaning is None else meaning.wnid for meaning in glossary.choose(names)]


def _commonest(glossary: Glossary, name: str) -> str | None:
    senses = glossary.senses(name)
    return senses[0].wnid if senses else None


def _count(choose: Choice, lists: Sequence[NameList]) -> tuple[int, list[list[Any]]]:
    """Return how many names got a right sense, and the others with the list and what they got."""
    right, wrong = 0, []
    for task in lists:
        chosen = dict(zip(task.names, choose(task.names), strict=True))
        for name, expected in task.expected.items():
            if chosen[name] in expected:
                right += 1
            else:
                wrong.append([list(task.names), name, chosen[name]])
    return right, wrong


@contextmanager
def _changed(factors: Mapping[str, float]) -> Iterator[None]:
    """Multiply constants of `sense_choice` for a while."""
    before = {name: getattr(sense_choice, name) for name in factors}
    try:
        for name, factor in factors.items():
            setattr(sense_choice, name, before[name] * factor)
        yield
    finally:
        for name, value in before.items():
            setattr(sense_choice, name, value)


if __name__ == "__main__":
    main()
