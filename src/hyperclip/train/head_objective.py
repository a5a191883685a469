"""Training of the head alone, on embeddings of pictures that are made once: minutes instead of hours.

A mixture head is trained on lists of names as the shop gets them. In part of the lists the asked names' own
concepts are taken away from what the encoder knows: such names stand for those that it has never learnt,
and the head has to say what they are like and unlike.

Legend: B images, C classes, E text dim, K concepts (one a leaf).
"""

import copy
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hyperclip.bundle.atomic import write_file
from hyperclip.data.task_config import TaskConfig
from hyperclip.data.tasks import Task, TaskSampler, leaf_shares, soft_targets
from hyperclip.data.wordnet import read_hierarchy
from hyperclip.errors import InputError
from hyperclip.losses import task_softmax_loss
from hyperclip.models import HyperCLIP, HyperCLIPConfig, MixtureHead
from hyperclip.train.class_texts import ClassTexts, load_text_encoder
from hyperclip.train.picture_embeddings import EmbeddedPictures, EmbeddedSetConfig, embed_pictures
from hyperclip.train.recipe import from_mapping
from hyperclip.train.trained_encoder import load_average, load_hypernetwork

__all__ = ["HeadObjective", "HeadObjectiveConfig", "from_recipe"]


@dataclass(frozen=True, kw_only=True)
class HeadObjectiveConfig:
    """Encoder, pictures and lists of a head's training."""

    classes: str
    """``classes.json`` of the leaves, one concept each, in the order of the encoder's embedding."""
    text_knowledge: str
    """Folder with WordNet's nouns and hierarchy."""
    meanings: str
    """The glossary's meaning texts as JSON lines."""
    text_run: str
    """Folder of a finished run of the `text` objective."""
    glossary: str = ""
    """The bundle's ``glossary.bin`` with class vectors: names are then read as the shop reads them."""
    start_from: tuple[str, ...]
    """Folders of finished runs of the `hyperclip` objective; their image encoders are averaged."""
    start_share: float = 1.0
    """Share of that encoder's weights; the rest are those that `image_encoder.init` names."""
    hypernetwork_from: str = ""
    """Folder of a finished run whose hypernetwork is taken over as it is."""
    model: HyperCLIPConfig = field(default_factory=HyperCLIPConfig)
    sets: tuple[EmbeddedSetConfig, ...]
    tasks: TaskConfig = field(default_factory=TaskConfig)
    n_tasks: int = 4
    """Lists a step."""
    n_images: int = 64
    """Pictures a list."""
    unlearned_share: float = 0.5
    """Share of the lists whose own concepts are taken away."""
    decay_to_start: float = 0.1
    """Weight of the squared distance of the head from where it started, a concept."""
    n_held_out_classes: int = 0
    """Classes that no list names and no list shows; drawn with seed 0. They judge the head."""
    n_evaluation_tasks: int = 60

    def __post_init__(self) -> None:
        if not 0 <= self.unlearned_share <= 1 or self.decay_to_start < 0:
            raise InputError(
                f"head.unlearned_share is {self.unlearned_share} and head.decay_to_start "
                f"{self.decay_to_start}; expected a share of 1 and 0 or more; correct the recipe."
            )
        if self.n_tasks < 1 or self.n_images < 2 or self.n_held_out_classes < 0:
            raise InputError(
                f"head has n_tasks = {self.n_tasks}, n_images = {self.n_images} and n_held_out_classes = "
                f"{self.n_held_out_classes}; expected at least 1, 2 and 0; correct the recipe."
            )
        if not self.model.head.is_mixture:
            raise InputError(
                f"head.model.head.kind is {self.model.head.kind!r}; expected a mixture, whose concepts are "
                "the leaves; choose mixture_plus_linear."
            )


def from_recipe(cls: type[HeadObjectiveConfig], values: Mapping[str, Any]) -> HeadObjectiveConfig:
    """Read the recipe's section ``head``."""
    return from_mapping(cls, values, where="head")


class _List(NamedTuple):
    """One list of names and its pictures."""

    class_emb_CE: Tensor  # noqa: N815 (shape letters)
    embedding_BK: Tensor  # noqa: N815
    target_BC: Tensor  # noqa: N815
    weight_B: Tensor  # noqa: N815
    known_K: Tensor  # noqa: N815


class HeadObjective:
    """Training of a mixture head; see `hyperclip.train.objective.Objective`."""

    def __init__(self, config: HeadObjectiveConfig, *, seed: int) -> None:
        self.config, self._seed = config, seed
        self.hierarchy = read_hierarchy(config.classes, text_knowledge=config.text_knowledge)
        n_leaves, n_covering = self.hierarchy.n_leaves, self.hierarchy.n_covering
        if config.model.head.dim != n_leaves:
            raise InputError(
                f"head.model.head.dim is {config.model.head.dim}; expected {n_leaves}, one concept a class; "
                "change one of them."
            )
        encoder, tokenizer = load_text_encoder(Path(config.text_run))
        self._texts = ClassTexts(
            encoder.eval(),
            tokenizer,
            Path(config.meanings),
            glossary=Path(config.glossary) if config.glossary else None,
        )
        names = [group[0] if group else "" for group in self.hierarchy.names[:n_covering]]
        names[:n_leaves] = self.hierarchy.leaf_names
        node_emb = self._texts.embed(names, self.hierarchy.wnids[:n_covering])
        concepts = torch.from_numpy(node_emb[:n_leaves])
        model = HyperCLIP(config.model, text_encoder=encoder, concepts_KE=concepts)
        load_average(model.image_encoder, [Path(run) for run in config.start_from], share=config.start_share)
        if model.hypernetwork is not None:
            if config.hypernetwork_from:
                load_hypernetwork(model.hypernetwork, Path(config.hypernetwork_from))
            else:
                model.set_center(concepts)
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        assert isinstance(model.head, MixtureHead)
        model.head.requires_grad_(True)
        self._start = copy.deepcopy(model.head).requires_grad_(False)
        self.model: nn.Module = model
        leaves = np.random.default_rng(0).permutation(n_leaves)
        self.held_out = np.sort(leaves[: config.n_held_out_classes])
        self._sampler = TaskSampler(
            self.hierarchy, config.tasks, embeddings=node_emb, held_out_leaves=self.held_out.tolist()
        )
        self._sets: list[EmbeddedPictures] = [
            embed_pictures(model.image_encoder, one, n_leaves=n_leaves) for one in config.sets
        ]
        self._leaf_emb = concepts

    def batch(self, step: int) -> list[_List]:
        """Lists of a step."""
        rng = np.random.default_rng([self._seed, step])
        return [self._draw(rng) for _ in range(self.config.n_tasks)]

    def loss(self, model: nn.Module, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:
        """Cross-entropy within each list, and how far the head has moved."""
        own = self.model
        assert isinstance(own, HyperCLIP)
        assert isinstance(own.head, MixtureHead)
        losses = [
            task_softmax_loss(self._logits(own.head, one), one.target_BC, weight_B=one.weight_B)
            for one in batch
        ]
        task = torch.stack(losses).mean()
        moved = sum(
            (now - before.to(now.device)).square().sum()
            for now, before in zip(own.head.parameters(), self._start.parameters(), strict=True)
        )
        moved = torch.as_tensor(moved) / own.head.concepts_KE.shape[0]
        figures = {"task_loss": float(task.detach()), "moved": float(moved.detach())}
        return task + self.config.decay_to_start * moved, figures

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Lists of held-out names, their concepts taken away, and of all names of each set."""
        assert isinstance(model, HyperCLIP)
        assert isinstance(model.head, MixtureHead)
        figures = {}
        for place, one in enumerate(self._sets):
            name = Path(self.config.sets[place].cache).name.replace("-", "_")
            rows, leaf = one.held_out()
            everything = np.unique(leaf)
            if len(rows):
                figures[f"{name}_known"] = self._accuracy(model.head, one, rows, leaf, everything, False)
            rows, leaf = one.shown(self.held_out)
            classes = np.unique(leaf)
            if len(classes) < 4:
                continue
            for kind in ("random", "neighbors"):
                rng = np.random.default_rng(0)
                found = []
                for _ in range(self.config.n_evaluation_tasks):
                    asked = _evaluation_list(kind, classes, self._leaf_emb.numpy(), rng)
                    found.append(self._accuracy(model.head, one, rows, leaf, asked, True))
                figures[f"{name}_unlearned_{kind}"] = float(np.mean(found))
        return figures

    def finish(self, model: nn.Module, folder: Path) -> None:
        """Write ``weights.safetensors`` and ``model.json``, as the `hyperclip` objective does."""
        from safetensors.torch import save

        held = [self.hierarchy.wnids[leaf] for leaf in self.held_out]
        about = {"model": dataclasses.asdict(self.config.model), "held_out_wnids": held}
        write_file(folder / "model.json", json.dumps(about, indent=1).encode())
        weights = {key: value.contiguous() for key, value in model.state_dict().items()}
        write_file(folder / "weights.safetensors", save(weights))

    def _draw(self, rng: np.random.Generator) -> _List:
        """Draw a list that has pictures, a name for each picture, then a leaf and a picture of it."""
        shares = np.array([one.share for one in self._sets])
        for _ in range(50):
            pictures = self._sets[int(rng.choice(len(self._sets), p=shares / shares.sum()))]
            task = self._sampler.sample(rng)
            shown = leaf_shares(task.membership) * pictures.has_pictures
            shown[:, self.held_out] = 0
            names = np.flatnonzero(shown.any(axis=1))
            if len(names) >= 2:
                return self._fill(task, pictures, shown, names, rng)
        raise InputError(
            "Fifty lists in a row had fewer than two names with pictures; expected some; give pictures of "
            "more classes, or lower head.tasks.inner_nodes."
        )

    def _fill(
        self, task: Task, pictures: EmbeddedPictures, shown: npt.NDArray[np.float32],
        names: npt.NDArray[np.int64], rng: np.random.Generator,
    ) -> _List:  # fmt: skip
        rows = []
        for name in rng.choice(names, size=self.config.n_images):
            leaf = int(rng.choice(np.flatnonzero(shown[name])))
            rows.append(int(rng.choice(pictures.rows_of(leaf))))
        embedding, leaf_target = pictures.take(np.array(rows))
        target, weight = soft_targets(task.membership, leaf_target)
        known = np.ones(task.membership.shape[1], dtype=bool)
        if rng.random() < self.config.unlearned_share:
            known &= ~task.membership.any(axis=0)
            if known.sum() < 10:
                known[:] = True
        class_emb = self._texts.embed(task.names, task.wnids)
        return _List(
            torch.from_numpy(class_emb), torch.from_numpy(embedding), torch.from_numpy(target),
            torch.from_numpy(weight), torch.from_numpy(known),
        )  # fmt: skip

    @staticmethod
    def _logits(head: MixtureHead, one: _List) -> Tensor:
        row = head(one.class_emb_CE)
        if bool(one.known_K.all()):
            return head.logits(one.embedding_BK, row)
        return head.logits_without(one.embedding_BK, row, known_K=one.known_K)

    def _accuracy(
        self, head: MixtureHead, pictures: EmbeddedPictures, rows: npt.NDArray[np.int64],
        leaf: npt.NDArray[np.int64], asked: npt.NDArray[np.int64], is_unlearned: bool,
    ) -> float:  # fmt: skip
        chosen = np.isin(leaf, asked)
        known = torch.ones(self.hierarchy.n_leaves, dtype=torch.bool)
        known[torch.from_numpy(asked)] = not is_unlearned
        embedding, _ = pictures.take(rows[chosen])
        device = head.concepts_KE.device
        one = _List(
            self._leaf_emb[torch.from_numpy(asked)].to(device), torch.from_numpy(embedding).to(device),
            torch.zeros(0), torch.zeros(0), known,
        )  # fmt: skip
        best = self._logits(head, one).argmax(dim=1).cpu().numpy()
        return float((asked[best] == leaf[chosen]).mean())


def _evaluation_list(
    kind: str, classes: npt.NDArray[np.int64], leaf_emb: npt.NDArray[np.float32], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Up to fifty random classes, or a class with its nine nearest ones."""
    if kind == "random":
        return rng.choice(classes, size=min(50, len(classes)), replace=False)
    seed = rng.choice(classes)
    return classes[np.argsort(-(leaf_emb[classes] @ leaf_emb[seed]))[:10]]
