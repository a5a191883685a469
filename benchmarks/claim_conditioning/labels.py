"""How tables and plots name what was measured."""

__all__ = ["COLORS", "CONTEXT_NAMES", "FREEDOM_NAMES", "GROUP_NAMES"]

GROUP_NAMES = {
    "all": "all 200",
    "seen": "160 trained on",
    "neighbors": "ten neighbors",
    "subtrees": "ten below one node",
    "random": "ten at random",
    "held_out": "40 held out",
    "held_out_neighbors": "ten neighbors, held out",
    "cifar10": "CIFAR-10",
}
CONTEXT_NAMES = {
    "own": "own names",
    "swapped": "another list's names",
    "all_names": "all 200 names",
    "none": "none (neutral)",
}
FREEDOM_NAMES = {
    "head": "head",
    "norms": "scales and shifts",
    "norms_pointwise": "scales, shifts, 1 x 1 weights",
    "everything": "everything",
    "more_of_the_same": "scales, shifts, 1 x 1 weights on all classes",
}
COLORS = {
    "siglip": "#70747c",
    "hyper": "#346ad6",
    "token": "#9db8ee",
    "hyper_weights": "#ce4a34",
    "token_weights": "#eda396",
}
