"""Which lists of names training draws, and how often."""

from dataclasses import dataclass, fields

from hyperclip.errors import InputError

__all__ = ["TASK_KINDS", "TaskConfig"]

TASK_KINDS = (
    "random_leaves",
    "neighbors",
    "siblings",
    "subtrees",
    "mixed_levels",
    "inner_nodes",
    "all_leaves",
)


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """Proportions of the kinds of task; a kind is drawn in proportion to its number among the kinds."""

    random_leaves: float = 0.2
    """Classes with pictures, at random."""
    neighbors: float = 0.25
    """A node and those nearest to it by the given embeddings."""
    siblings: float = 0.15
    """Nodes directly under one parent; further families join where one is too small."""
    subtrees: float = 0.15
    """Classes anywhere below one node; further subtrees join where one is too small."""
    mixed_levels: float = 0.1
    """For every five names: a node, one below it, and three classes from elsewhere."""
    inner_nodes: float = 0.1
    """Kinds of things instead of the classes themselves."""
    all_leaves: float = 0.05
    """Every class with pictures: the full context, whatever `n_max` is."""
    n_min: int = 2
    """Fewest names."""
    n_max: int = 200
    """Most names; sizes are log-uniform between the two."""
    empty_context: float = 0.1
    """Share of tasks whose names are scored, but not shown to the hypernetwork."""
    synonyms: float = 0.2
    """Share of names, of nodes that have several, that are not the first."""
    distractor_tasks: float = 0.3
    """Share of tasks that hold names without pictures (none where the kind is `all_leaves`)."""
    distractor_share: float = 0.2
    """Share of the names in such a task that have no pictures, rounded up; one name at least is a class."""
    neighbor_temperature: float = 0.05
    """What cosines are divided by before neighbors are drawn; 0 always takes the nearest."""
    min_inner_leaves: int = 2
    """An inner node is named only if it covers at least this many classes,"""
    max_inner_share: float = 0.4
    """and at most this share of all classes: "whole" or "artifact" tell nobody anything."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            is_share = field.name in ("empty_context", "synonyms", "distractor_tasks", "max_inner_share")
            if is_share and not 0 <= value <= 1:
                raise InputError(f"{field.name} is {value}; expected from 0 to 1; correct the recipe.")
            if field.name in (*TASK_KINDS, "neighbor_temperature") and not 0 <= value < float("inf"):
                raise InputError(f"{field.name} is {value}; expected 0 or more; correct the recipe.")
        if not 0 <= self.distractor_share < 1:
            raise InputError(
                f"distractor_share is {self.distractor_share}; expected 0 to below 1; correct the recipe."
            )
        if sum(getattr(self, kind) for kind in TASK_KINDS) <= 0:
            raise InputError(
                f"All of {', '.join(TASK_KINDS)} are 0; expected one above 0; choose a kind of task."
            )
        if not 1 <= self.n_min <= self.n_max:
            raise InputError(
                f"n_min is {self.n_min} and n_max {self.n_max}; expected 1 <= n_min <= n_max; correct the "
                "recipe."
            )
        if self.min_inner_leaves < 1:
            raise InputError(
                f"min_inner_leaves is {self.min_inner_leaves}; expected 1 or more; correct the recipe."
            )
