"""One architecture, made with random weights, imported, and compared: run in a process of its own.

python -m benchmarks.import_clip.one ViT-B-32 FOLDER
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.import_clip.names import NAMES
from benchmarks.import_clip.small_models import lively, open_clip_tokenizer, write_hugging_face

WITH_HUB_TOKENIZER = ("ViT-B-16-SigLIP", "ViT-B-16-SigLIP2")
HUGGING_FACE = {
    "transformers CLIP": "clip",
    "transformers SigLIP": "siglip",
    "transformers SigLIP 2": "siglip2",
}


def main() -> None:
    """Write the findings of one architecture into a folder, beside the imported model."""
    architecture, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    found = measure(architecture, folder)
    (folder / "found.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


def measure(architecture: str, folder: Path) -> dict[str, Any]:
    """Import an architecture and return how it agrees with its source, and what its classifier file costs."""
    import torch

    from hyperclip.export.import_clip import load_source, write_imported

    start = time.perf_counter()
    if architecture in HUGGING_FACE:
        source = folder / "source"
        if not source.exists():
            write_hugging_face(HUGGING_FACE[architecture], source)
        clip = load_source(str(source))
    else:
        clip = _open_clip(architecture, folder)
    _, agreement = write_imported(clip, folder / "model")
    imported_s = time.perf_counter() - start
    parameters = sum(p.numel() for tower in (clip.image_tower, clip.text_tower) for p in tower.parameters())
    with torch.inference_mode():
        wrong = _without_mask(clip)
    return {
        "parameters": parameters,
        "padding": clip.text.padding,
        "resize": clip.images.resize,
        "size_px": clip.images.size_px,
        "activation": clip.activation,
        "has_trained_tokenizer": architecture in (*WITH_HUB_TOKENIZER, *HUGGING_FACE),
        "logits_share": agreement.logits,
        "logits_of_file_share": agreement.logits_of_file,
        **{f"{stage.replace(' ', '_')}_difference": value for stage, value in agreement.stages.items()},
        "n_top1_differs": agreement.n_top1_differs,
        "wrong_padding_difference": wrong,
        "bundle_bytes": sum(path.stat().st_size for path in (folder / "model").iterdir()),
        "import_s": imported_s,
    }


def costs(folder: Path) -> dict[str, Any]:
    """Return what the model in a folder costs to load, to specialize and to run, on one thread."""
    from hyperclip import load

    loading = time.perf_counter()
    model = load(folder / "model", n_threads=1)
    loaded_s = time.perf_counter() - loading
    model.specialize(NAMES)  # allocates what stays
    specializing = time.perf_counter()
    classifier = model.specialize(NAMES)
    specialized_s = time.perf_counter() - specializing
    picture = np.random.default_rng(0).integers(0, 256, (1, 480, 640, 3), dtype=np.uint8)
    times = []
    for _ in range(12):
        before = time.perf_counter()
        classifier.run_pixels(picture)
        times.append(1000 * (time.perf_counter() - before))
    return {
        "file_bytes": len(classifier.to_bytes()),
        "one_thread_ms": sorted(times)[len(times) // 2],
        "load_s": loaded_s,
        "names_to_file_s": specialized_s,
    }


def _open_clip(architecture: str, folder: Path) -> Any:
    """An architecture of open_clip with random weights, imported from a file of them."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    from hyperclip.export.import_open_clip import import_open_clip

    weights = folder / "weights.safetensors"
    if not weights.exists():
        torch.manual_seed(0)
        made = lively(open_clip.create_model(architecture, pretrained_text=False))
        save_file({name: value.clone().contiguous() for name, value in made.state_dict().items()}, weights)
        del made
    tokenizer = None
    if architecture in WITH_HUB_TOKENIZER:
        tokenizer = open_clip_tokenizer(architecture, folder / "tokenizer")
    return import_open_clip(architecture, weights=weights, tokenizer=tokenizer)


def _without_mask(clip: Any) -> float:
    """How far text vectors move when padding is treated otherwise: what a wrong mask would do at the least.

    Texts that are read to the end token alone are padded to the whole context and pooled at the last
    place; texts that are padded are read without their padding.
    """
    import torch
    from torch.nn import functional

    from hyperclip.runtime.tokenizer import TextTokenizer

    texts = [clip.text.templates[0].replace("{}", name) for name in NAMES]
    wanted = clip.reference.text_vectors(texts)
    token_ids, mask = TextTokenizer(clip.tokenizer_json, clip.text).encode(texts)
    ids = torch.from_numpy(token_ids)
    tower = clip.text_tower
    if clip.text.padding == "longest":
        tower.causal_TT.zero_()
    else:  # other tokens where padding stands
        other = int(ids[0, 1])
        ids = torch.where(torch.from_numpy(mask) == 1, ids, torch.full_like(ids, other))
    found = functional.normalize(tower(ids, torch.from_numpy(mask)), dim=-1).numpy()
    return float(np.abs(found - wanted).max())


if __name__ == "__main__":
    main()
