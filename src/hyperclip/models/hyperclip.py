"""The whole model: text encoder, hypernetwork, image encoder, head.

Three configurations of the same code: `text` contexts (HyperCLIP), `token` contexts (the control
whose context holds no text) and no hypernetwork at all (SigLIP).

Legend: B images in a batch, C classes, D embedding dim, E text dim, P generated parameters, R contexts.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.errors import InputError
from hyperclip.models.heads import ClassHead, HeadConfig, LinearHead, MixtureHead, build_head
from hyperclip.models.hypernetwork import Hypernetwork, HypernetworkConfig, TokenContext
from hyperclip.models.image_encoder import ImageEncoder, ImageEncoderConfig
from hyperclip.models.imported_image import start_as_imported

__all__ = ["HyperCLIP", "HyperCLIPConfig", "mean_by_class"]


@dataclass(frozen=True, kw_only=True)
class HyperCLIPConfig:
    """Parts of a model; leave `hypernetwork` out for the plain SigLIP control."""

    image_encoder: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    hypernetwork: HypernetworkConfig | None = None


def mean_by_class(row_emb_nE: Tensor, class_index_n: Tensor, n_classes: int) -> Tensor:
    """Average the texts of each class and renormalize.

    Parameters
    ----------
    row_emb_nE : Tensor of shape (n, E), unit length
    class_index_n : Tensor of shape (n,), int64, in [0, n_classes)

    Returns
    -------
    Tensor of shape (n_classes, E), unit length
    """
    total = torch.zeros(n_classes, row_emb_nE.shape[1], dtype=row_emb_nE.dtype, device=row_emb_nE.device)
    return functional.normalize(total.index_add(0, class_index_n, row_emb_nE), dim=-1)


class HyperCLIP(nn.Module):
    """Images and class embeddings to logits, under the context of the class names.

    Parameters
    ----------
    config : HyperCLIPConfig
    text_encoder : torch.nn.Module, optional
        (n, T) token ids and mask to (n, E) unit vectors; may be left out where class embeddings are
        given.
    concepts_KE : Tensor of shape (K, E), optional
        Start of the concepts of a `log_mixture` head.
    """

    def __init__(
        self,
        config: HyperCLIPConfig,
        *,
        text_encoder: nn.Module | None = None,
        concepts_KE: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = ImageEncoder(config.image_encoder)
        self.text_encoder = text_encoder
        self.head: LinearHead | MixtureHead = build_head(config.head, concepts_KE)
        if config.head.init == "folder":
            start_as_imported(self.head, config.image_encoder.name)
        self.hypernetwork: Hypernetwork | None = None
        if config.hypernetwork is not None:
            kind = Hypernetwork if config.hypernetwork.kind == "text" else TokenContext
            encoder = self.image_encoder
            if not encoder.n_generated:
                raise InputError(
                    f"The image encoder {config.image_encoder.name!r} has nothing of "
                    f"{list(config.image_encoder.generates)} for a hypernetwork to generate; expected some; "
                    "set image_encoder.generates to ['pointwise'], or leave the hypernetwork out."
                )
            self.hypernetwork = kind(
                config.hypernetwork, encoder.n_generated, encoder.n_generated - encoder.n_norm_parameters
            )

    def generate(self, class_emb_RCE: Tensor, mask_RC: Tensor | None = None) -> Tensor | None:
        """Changes for each context, (R, P), or None where there is no hypernetwork."""
        return None if self.hypernetwork is None else self.hypernetwork(class_emb_RCE, mask_RC)

    def make_head(self, class_emb_CE: Tensor) -> ClassHead:
        """The (C, D) matrix and (C,) bias of a list of classes."""
        head: ClassHead = self.head(class_emb_CE)
        return head

    def embed_images(
        self, images_B3HW: Tensor, delta_RP: Tensor | None = None, context_index_B: Tensor | None = None
    ) -> Tensor:
        """Image embeddings (B, D), as `ImageEncoder.forward`."""
        embedding: Tensor = self.image_encoder(images_B3HW, delta_RP, context_index_B)
        return embedding

    def forward(self, images_B3HW: Tensor, class_emb_CE: Tensor) -> Tensor:
        """Logits (B, C) of images for one list of classes, under that list's context."""
        delta = self.generate(class_emb_CE[None])
        return self.head.logits(self.embed_images(images_B3HW, delta), self.make_head(class_emb_CE))

    @torch.no_grad()
    def set_center(self, vocabulary_emb_nE: Tensor) -> None:
        """Show the hypernetwork a vocabulary's embeddings; see `Hypernetwork.look_at`."""
        if self.hypernetwork is not None:
            self.hypernetwork.look_at(vocabulary_emb_nE)
