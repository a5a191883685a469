"""Joint training of image encoder, hypernetwork, head and the last layer of the text encoder.

The controls are configurations of it: no hypernetwork (`siglip`), learnt tokens (`token`), no tasks
at all (adapting a trunk to labels and soft labels).

Legend: B images, N leaves, R tasks, C classes of a task, E text dim, P generated parameters.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.bundle.atomic import write_file
from hyperclip.data.hierarchy import Hierarchy
from hyperclip.data.task_config import TaskConfig
from hyperclip.data.tasks import TaskSampler
from hyperclip.data.text_targets import TextTargets
from hyperclip.data.wordnet import read_classes, read_hierarchy
from hyperclip.errors import InputError
from hyperclip.losses import sigmoid_loss_from_logits, task_softmax_loss
from hyperclip.models import HyperCLIP, HyperCLIPConfig
from hyperclip.models.imported_text import AnyTextEncoder
from hyperclip.train.class_texts import ClassTexts, load_text_encoder
from hyperclip.train.hyperclip_batches import Batch, BatchMaker, DataConfig, TaskBatch
from hyperclip.train.hyperclip_evaluation import Evaluation, EvaluationConfig
from hyperclip.train.recipe import from_mapping
from hyperclip.train.trained_encoder import load_image_encoder, untouched_encoder

__all__ = ["HyperCLIPObjective", "ObjectiveConfig", "from_recipe"]


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """Model, data and weights of joint training."""

    classes: str
    """``classes.json`` of the leaves: index, wnid, name, synonyms."""
    label_classes: str = ""
    """``classes.json`` in whose order the caches' labels are; that of the leaves where left out."""
    text_knowledge: str
    """Folder with WordNet's nouns and hierarchy."""
    meanings: str
    """The glossary's meaning texts as JSON lines; empty: names are read alone."""
    glossary: str = ""
    """A ``glossary.bin`` with class vectors: class embeddings are then those that the shop makes with it."""
    text_run: str
    """Folder of a finished run of the `text` objective, or of a CLIP imported with ``--trainable``."""
    text_targets: str = ""
    """Folder of the text encoder's targets: the concepts of a mixture head then start halfway
    between what the text encoder was taught and what it gives."""
    start_from: str = ""
    """Folder of a finished run of this objective whose image encoder is taken over."""
    start_share: float = 1.0
    """Share of that encoder's weights; the rest are those that `image_encoder.init` names."""
    start_with_head: bool = False
    """Take over that run's head too."""
    model: HyperCLIPConfig = field(default_factory=HyperCLIPConfig)
    data: DataConfig
    tasks: TaskConfig = field(default_factory=TaskConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    loss: str = "softmax"
    """Of tasks: `softmax` within the task, or `sigmoid` for every pair."""
    leaf_weight: float = 1.0
    """Weight of the loss over all leaves, on the neutral pictures."""
    task_weight: float = 1.0
    context_leaf_weight: float = 0.0
    """Weight of the loss over all leaves on the pictures of tasks."""
    change_penalty: float = 0.0
    """Weight of the mean square of the generated changes."""
    freeze_statistics_after: int = 0
    """Step from which BatchNorm uses its running statistics; 0: always; -1: never."""
    n_held_out_classes: int = 40
    """Classes with labels that no task names; drawn with seed 0 from those of `held_out_from`."""
    held_out_from: str = ""
    """``classes.json`` from which the held-out classes come."""
    hold_out_pictures: bool = False
    """Keep the pictures of held-out classes out of training too."""

    def __post_init__(self) -> None:
        if self.loss not in ("softmax", "sigmoid"):
            raise InputError(f"hyperclip.loss is {self.loss!r}; expected 'softmax' or 'sigmoid'; choose one.")


def from_recipe(cls: type[ObjectiveConfig], values: Mapping[str, Any]) -> ObjectiveConfig:
    """Read the recipe's section ``hyperclip``."""
    return from_mapping(cls, values, where="hyperclip")


class HyperCLIPObjective:
    """Joint training; see `hyperclip.train.objective.Objective`."""

    def __init__(self, config: ObjectiveConfig, *, seed: int) -> None:
        self.config = config
        self.hierarchy = read_hierarchy(config.classes, text_knowledge=config.text_knowledge)
        encoder, tokenizer = load_text_encoder(Path(config.text_run))
        for parameter in encoder.parameters():
            parameter.requires_grad_(False)
        encoder.proj.requires_grad_(True)
        glossary = Path(config.glossary) if config.glossary else None
        meanings = Path(config.meanings) if config.meanings else None
        self.texts = ClassTexts(encoder.eval(), tokenizer, meanings, glossary)
        n_leaves = self.hierarchy.n_leaves
        leaf_names, leaf_wnids = self.hierarchy.leaf_names, self.hierarchy.wnids[:n_leaves]
        self._leaf_features = self.texts.features(leaf_names, leaf_wnids)
        leaf_emb = torch.from_numpy(self.texts.embed(leaf_names, leaf_wnids))
        _check_fit(config, n_leaves=n_leaves, text_dim=leaf_emb.shape[1])
        concepts = leaf_emb
        if config.text_targets and config.model.head.is_mixture:
            targets = TextTargets.open(Path(config.text_targets))
            taught = self.texts.target_embeddings(targets, leaf_names, leaf_wnids)
            concepts = functional.normalize(leaf_emb + torch.from_numpy(taught), dim=-1)
        model = HyperCLIP(config.model, text_encoder=encoder, concepts_KE=concepts)
        _check_picture_sizes(config, model.image_encoder.fixed_size_px)
        model.set_center(leaf_emb)
        if config.start_from:
            load_image_encoder(
                model.image_encoder, Path(config.start_from), share=config.start_share,
                head=model.head if config.start_with_head else None,
            )  # fmt: skip
        self.model: nn.Module = model.to(memory_format=torch.channels_last)
        is_taught = any(one.teacher_weight for one in config.data.sets)
        self._teacher = untouched_encoder(config.model) if is_taught else None
        self.held_out = _held_out(config, self.hierarchy)
        to_leaf = _to_leaf(config, self.hierarchy)
        n_covering = self.hierarchy.n_covering
        # A class without pictures must not be a candidate either: it would only learn to be refused.
        unseen = set(self.held_out) if config.hold_out_pictures else set()
        self._asked_leaves = [leaf for leaf in range(n_leaves) if leaf not in unseen]
        names = [group[0] if group else "" for group in self.hierarchy.names[:n_covering]]
        names[:n_leaves] = leaf_names
        sampler = TaskSampler(
            self.hierarchy, config.tasks,
            embeddings=self.texts.embed(names, self.hierarchy.wnids[:n_covering]),
            held_out_leaves=self.held_out,
        ) if config.data.n_tasks else None  # fmt: skip
        self._maker = BatchMaker(
            config.data, n_leaves=n_leaves, to_leaf=_to_leaf(config, self.hierarchy), sampler=sampler,
            texts=self.texts, seed=seed, skip_leaves=unseen,
        )  # fmt: skip
        self._evaluation = Evaluation(
            config.evaluation, hierarchy=self.hierarchy, texts=self.texts, held_out=self.held_out,
            to_leaf=to_leaf,
        )  # fmt: skip

    def batch(self, step: int) -> Batch:
        """Pictures and tasks of a step."""
        return self._maker.make(step)

    def loss(self, model: nn.Module, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:
        """Leaf loss on neutral pictures plus task loss on the others."""
        own = self.model
        assert isinstance(own, HyperCLIP)
        config = self.config
        after = config.freeze_statistics_after
        own.image_encoder.freeze_statistics(after >= 0 and step >= after)
        if batch.lesson is not None:
            self._learn_from_teacher(batch)
        embeddings = self._class_embeddings(own, batch.tasks)
        delta, index = self._contexts(own, batch, embeddings)
        embedding = own.embed_images(
            batch.images_B3HW.contiguous(memory_format=torch.channels_last), delta, index
        ).float()
        figures: dict[str, float] = {}
        n = batch.n_neutral
        total = embedding.new_zeros(())
        if n and config.leaf_weight:
            leaf = self._leaf_loss(own, embedding[:n], batch.leaf_target_BN[:n])
            total = total + config.leaf_weight * leaf
            figures["leaf_loss"] = float(leaf.detach())
        if batch.tasks:
            task = torch.stack(
                [self._task_loss(own, embedding, t, e) for t, e in zip(batch.tasks, embeddings, strict=True)]
            ).mean()
            total = total + config.task_weight * task
            figures["task_loss"] = float(task.detach())
            if config.context_leaf_weight:
                total = total + config.context_leaf_weight * self._leaf_loss(
                    own, embedding[n:], batch.leaf_target_BN[n:]
                )
        if delta is not None:
            figures["change_rms"] = float(delta.detach().square().mean().sqrt())
            if len(delta) > 2:
                varied = delta[1:].detach()
                figures["change_varies"] = float(
                    varied.var(dim=0).sum() / varied.square().sum(dim=1).mean().clamp(min=1e-12)
                )
            if config.change_penalty:
                total = total + config.change_penalty * delta.square().mean()
        return total, figures

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Zero-shot accuracy, neighbor tasks and the swap test on held-out training pictures."""
        assert isinstance(model, HyperCLIP)
        return self._evaluation.run(model)

    def finish(self, model: nn.Module, folder: Path) -> None:
        """Write ``weights.safetensors`` and ``model.json`` (the configuration) into the run folder."""
        from safetensors.torch import save

        held = [self.hierarchy.wnids[leaf] for leaf in self.held_out]
        about = {"model": dataclasses.asdict(self.config.model), "held_out_wnids": held}
        write_file(folder / "model.json", json.dumps(about, indent=1).encode())
        weights = {key: value.contiguous() for key, value in model.state_dict().items()}
        write_file(folder / "weights.safetensors", save(weights))

    @torch.no_grad()
    def _learn_from_teacher(self, batch: Batch) -> None:
        """Mix what the teacher says of its pictures into the leaf targets, in place."""
        assert self._teacher is not None
        assert batch.lesson is not None
        images, rows, weight = batch.lesson
        teacher = self._teacher.to(images.device)
        soft = teacher(images.contiguous(memory_format=torch.channels_last)).float().softmax(dim=-1)
        share = weight[:, None]
        batch.leaf_target_BN[rows] = (1 - share) * batch.leaf_target_BN[rows] + share * soft

    def _class_embeddings(self, model: HyperCLIP, tasks: list[TaskBatch]) -> list[Tensor]:
        encoder = model.text_encoder
        assert isinstance(encoder, AnyTextEncoder)
        return [self.texts.class_embeddings(task.features_C2W, encoder) for task in tasks]

    def _contexts(
        self, model: HyperCLIP, batch: Batch, embeddings: list[Tensor]
    ) -> tuple[Tensor | None, Tensor | None]:
        """Row 0 is neutral; each task with a context has a row of its own."""
        given = [e for e, task in zip(embeddings, batch.tasks, strict=True) if task.has_context]
        if model.hypernetwork is None or not given:
            return None, None
        device = batch.images_B3HW.device
        index = torch.zeros(len(batch.images_B3HW), dtype=torch.int64, device=device)
        row = 0
        for task in batch.tasks:
            if task.has_context:
                row += 1
                index[task.rows] = row
        padded = nn.utils.rnn.pad_sequence(given, batch_first=True)
        mask = torch.tensor([[c < len(e) for c in range(padded.shape[1])] for e in given], device=device)
        delta = model.generate(padded, mask)
        assert delta is not None
        return torch.cat([torch.zeros_like(delta[:1]), delta]), index

    def _leaf_loss(self, model: HyperCLIP, embedding: Tensor, target: Tensor) -> Tensor:
        if self.config.model.head.is_mixture:
            return -(target * functional.log_softmax(embedding, dim=-1)).sum(dim=-1).mean()
        encoder = model.text_encoder
        assert isinstance(encoder, AnyTextEncoder)
        asked = self._asked_leaves
        head = model.make_head(self.texts.class_embeddings(self._leaf_features[asked], encoder))
        logits, target = model.head.logits(embedding, head), target[:, asked]
        if self.config.loss == "sigmoid":
            return sigmoid_loss_from_logits(logits, positive_BN=target > 0.5)
        return task_softmax_loss(logits, target)

    def _task_loss(self, model: HyperCLIP, embedding: Tensor, task: TaskBatch, class_emb: Tensor) -> Tensor:
        logits = model.head.logits(embedding[task.rows], model.make_head(class_emb))
        if self.config.loss == "sigmoid":
            return sigmoid_loss_from_logits(logits, positive_BN=task.target_BC > 0.5)
        return task_softmax_loss(logits, task.target_BC, weight_B=task.weight_B)


def _check_fit(config: ObjectiveConfig, *, n_leaves: int, text_dim: int) -> None:
    """Refuse widths that do not meet, and an evaluation on pictures that training sees."""
    head, hypernetwork = config.model.head, config.model.hypernetwork
    widths = [
        ("head.dim", head.dim, config.model.image_encoder.embedding_dim, "image_encoder.embedding_dim"),
        ("head.text_dim", head.text_dim, text_dim, "the width of the text encoder"),
    ]
    if head.is_mixture:
        widths.append(("head.dim", head.dim, n_leaves, "the number of classes, one concept each"))
    if hypernetwork is not None:
        widths.append(("hypernetwork.text_dim", hypernetwork.text_dim, text_dim, "the text encoder's width"))
    for key, found, expected, what in widths:
        if found != expected:
            raise InputError(
                f"hyperclip.model.{key} is {found}; expected {expected}, {what}; change one of them."
            )
    for one in config.data.sets:
        if one.cache == config.evaluation.cache and one.n_held_out < config.evaluation.n_images:
            raise InputError(
                f"The set {one.cache} holds out {one.n_held_out} pictures, and {config.evaluation.n_images} "
                "of them are evaluated; expected only such as training does not see; raise n_held_out."
            )


def _check_picture_sizes(config: ObjectiveConfig, size_px: int | None) -> None:
    """Refuse sides that do not fit an encoder which takes one alone."""
    asked = {*config.data.sizes_px, *([config.evaluation.size_px] if config.evaluation.cache else [])}
    if size_px is not None and asked != {size_px}:
        raise InputError(
            f"data.sizes_px and evaluation.size_px ask for pictures of {sorted(asked)} px; expected "
            f"{size_px} alone, the side that {config.model.image_encoder.name} takes; correct the recipe."
        )


def _held_out(config: ObjectiveConfig, hierarchy: Hierarchy) -> tuple[int, ...]:
    if not config.n_held_out_classes:
        return ()
    wnids = [entry["wnid"] for entry in read_classes(config.held_out_from or config.classes)]
    leaves = sorted({hierarchy.leaf_index[w] for w in wnids if w in hierarchy.leaf_index})
    if config.n_held_out_classes > len(leaves):
        raise InputError(
            f"hyperclip.n_held_out_classes is {config.n_held_out_classes}; expected at most {len(leaves)}, "
            "the classes there are to hold out; lower it."
        )
    picked = np.random.default_rng(0).choice(leaves, size=config.n_held_out_classes, replace=False)
    return tuple(sorted(int(leaf) for leaf in picked))


def _to_leaf(config: ObjectiveConfig, hierarchy: Hierarchy) -> np.ndarray[Any, np.dtype[np.int64]]:
    entries = read_classes(config.label_classes or config.classes)
    return np.array([hierarchy.leaf_index.get(entry["wnid"], -1) for entry in entries], dtype=np.int64)
