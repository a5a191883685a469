"""``hyperclip compress``: a model or classifier in, a smaller one of the same kind and a report out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperclip.cli.output import Progress, print_json, readable_size, say, show
from hyperclip.errors import InputError

if TYPE_CHECKING:
    from hyperclip.bundle.read import Bundle
    from hyperclip.compress.measure import Comparison
    from hyperclip.compress.transformer_files import Transformer
    from hyperclip.runtime.classifier import Classifier

__all__ = ["compress"]

SEED = 0


def compress(
    model_or_file: Annotated[
        str,
        typer.Argument(
            metavar="MODEL_OR_FILE",
            help="A classifier file, which gives a classifier file; a model's name or folder, which gives a "
            "model folder; or the folder of a Hugging Face transformer, which gives such a folder.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="What to write; the report goes beside it.",
            show_default=False,
        ),
    ],
    method: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="wanda (looks at pictures), magnitude (the baseline) or adasap (channels; trains).",
        ),
    ] = "wanda",
    sparsity: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Share of the weights to remove; 0.5 without --pattern."),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(metavar="N:M", help="Instead of a share: keep N of every M inputs, such as 2:4."),
    ] = None,
    granularity: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Where weights are compared: output (unless said), layer, or cumulative: each output loses "
            "the same share of its total score, Wanda's variant.",
        ),
    ] = None,
    channels: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="adasap: share of the channels to remove; 0.5 unless said."),
    ] = None,
    importance: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="adasap: channels go by magnitude (unless said), taylor or latency."
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(metavar="N", help="adasap: steps of training; 300 unless said."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA",
            help="Pictures, labeled or not: some to calibrate on, the others to judge the result by. Of a "
            "transformer a file with a text a line.",
        ),
    ] = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="Judge by fifteen corruptions of all pictures, not five of at most 100."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a summary.")
    ] = False,
) -> None:
    """Make a model smaller, and report what it costs.

    The input is never touched. Beside the output come a report as .report.json, .report.html and
    .report.png: size, time, accuracy, accuracy on corrupted pictures, layer by layer.
    """
    from hyperclip.compress.job import compress_and_measure, compress_transformer
    from hyperclip.compress.report import report_paths, write_report
    from hyperclip.compress.transformer_files import architecture_of
    from hyperclip.runtime.classifier import Classifier

    config = _config(
        method,
        {
            "sparsity": sparsity,
            "pattern": pattern,
            "granularity": granularity,
            "channels": channels,
            "importance": importance,
            "n_steps": steps,
        },
    )
    paths = report_paths(output)
    is_transformer = architecture_of(model_or_file) is not None
    model = None if is_transformer else _load(model_or_file)
    _check_output(output, model_or_file, is_file=isinstance(model, Classifier))
    if data is None and not (isinstance(model, Classifier) and method == "magnitude"):
        say("Without --data nothing can be calibrated or judged.")
    progress = _Steps()
    try:
        if model is None:
            result = compress_transformer(
                model_or_file, _as_in_the_paper(config), data, seed=SEED, on_progress=progress.tell
            )
        else:
            result = compress_and_measure(
                model, config, data, full=full, seed=SEED, on_progress=progress.tell, on_remark=say
            )
    finally:
        progress.close()
    _save(result.model, output)
    report, comparison = result.report, result.comparison
    written = write_report(report, comparison, paths, title=str(output.name))
    for sentence in written.left_out:
        say(sentence)
    if as_json:
        values: dict[str, Any] = {
            "output": str(output),
            "method": method,
            "settings": dict(report.settings),
            **comparison.to_values(),
            "n_calibration_images": report.n_calibration_images,
            "n_calibration_texts": report.n_calibration_texts,
            "notes": list(report.notes),
            "report": {kind: str(path) for kind, path in written.paths.items()},
        }
        print_json(values)
    else:
        _print(comparison, output, written.paths)


def _config(method_name: str, given: dict[str, object]) -> Any:
    """Return a method's config with the options that were given."""
    from hyperclip.compress.contract import METHODS, method

    config = method(method_name).config
    wanted = {name: value for name, value in given.items() if value is not None}
    foreign = [name for name in wanted if name not in METHODS[method_name].options]
    if foreign:
        raise InputError(
            f"{_flag(foreign[0])} is no option of the method {method_name}; expected "
            f"{', '.join(map(_flag, METHODS[method_name].options))}; leave it out."
        )
    return config(**wanted)


def _flag(field: str) -> str:
    """What a field of a config is called on the command line."""
    return f"--{field.removeprefix('n_')}"


def _as_in_the_paper(config: Any) -> Any:
    """Leave out the repair, which transformers do not need; refuse methods that do not know them."""
    import dataclasses

    from hyperclip.compress.settings import PruneConfig

    if not isinstance(config, PruneConfig):
        raise InputError(
            "The model is a Hugging Face transformer; expected the method wanda or magnitude for it; choose "
            "one of these."
        )
    return dataclasses.replace(config, repair="none")


def _load(model_or_file: str) -> "Classifier | Bundle":
    """Return a classifier file or a bundle."""
    from hyperclip.zoo import find_bundle, names

    path = Path(model_or_file)
    if model_or_file not in names() and (path.suffix == ".onnx" or path.is_file()):
        from hyperclip.runtime.classifier import Classifier

        return Classifier.load(path)
    from hyperclip.bundle.read import read_bundle

    return read_bundle(find_bundle(model_or_file))


def _check_output(output: Path, source: str, *, is_file: bool) -> None:
    """Refuse an output that would replace the input, or of the wrong kind, before the work."""
    from hyperclip.zoo import find_bundle, names

    given = find_bundle(source) if source in names() else Path(source)
    if output.resolve() == given.resolve():
        raise InputError(
            f"The output {str(output)[:200]!r} is the input; expected another path, as the input is never "
            "touched; choose one."
        )
    if not output.resolve().parent.is_dir():
        raise InputError(
            f"There is no folder {str(output.parent)[:200]!r}; expected an existing folder for "
            f"{output.name[:100]!r}; create it first or choose another path."
        )
    if is_file and output.is_dir():
        raise InputError(
            f"The output {str(output)[:200]!r} is a folder; expected the path of a classifier file; write "
            "small.onnx, for instance."
        )
    if not is_file and output.suffix == ".onnx":
        raise InputError(
            f"The output is {output.name[:100]!r}, but a model gives a model folder; expected a folder's "
            "path; leave .onnx out, or specialize first."
        )


class _Steps:
    """Shows progress, one bar for each kind of step."""

    def __init__(self) -> None:
        self._unit, self._n_done = "", 0
        self._progress: Progress | None = None

    def tell(self, n_done: int, n_total: int, unit: str) -> None:
        """Show how far the work is."""
        if self._progress is None or unit != self._unit or n_done < self._n_done:
            self.close()
            self._progress, self._unit, self._n_done = Progress(n_total, unit=unit), unit, 0
        self._progress.advance(n_done - self._n_done)
        self._n_done = n_done

    def close(self) -> None:
        """Clear the line of a terminal."""
        if self._progress is not None:
            self._progress.close()


def _save(model: "Classifier | Bundle | Transformer", output: Path) -> None:
    """Write the result."""
    from hyperclip.bundle.read import Bundle
    from hyperclip.compress.rewrite import save_bundle
    from hyperclip.compress.transformer_files import save_transformer
    from hyperclip.runtime.classifier import Classifier

    if isinstance(model, Classifier):
        model.save(output)
    elif isinstance(model, Bundle):
        save_bundle(model, output)
    else:
        save_transformer(model, output)


def _print(comparison: "Comparison", output: Path, paths: dict[str, Path]) -> None:
    """Print the figures that matter most."""
    before, after, latency = comparison.before, comparison.after, comparison.latency
    show(f"Wrote {output}.\n")
    show(f"size             {readable_size(before.size_bytes)} -> {readable_size(after.size_bytes)}")
    show(f"compressed       {readable_size(before.gzip_bytes)} -> {readable_size(after.gzip_bytes)}  (gzip)")
    zeros = 1 - after.n_nonzero / max(1, after.n_parameters)
    show(f"zeros            {zeros:.1%} of all weights")
    show(f"time             {latency.ratio:.2f} of before  ({latency.low:.2f} to {latency.high:.2f})")
    if before.accuracy is not None and after.accuracy is not None:
        judged = f"({comparison.n_images} {comparison.unit})"
        show(f"accuracy         {before.accuracy:.3f} -> {after.accuracy:.3f}  {judged}")
    if comparison.agreement is not None:
        show(f"same answer      {comparison.agreement:.3f} of the {comparison.unit}")
    if before.mean_corrupted is not None and after.mean_corrupted is not None:
        what = "corrupted        " if comparison.has_labels else "same, corrupted  "
        start = f"{before.mean_corrupted:.3f} -> " if comparison.has_labels else ""
        show(f"{what}{start}{after.mean_corrupted:.3f}  ({len(after.corrupted)} kinds)")
    show(f"report           {', '.join(str(path) for path in paths.values())}")
