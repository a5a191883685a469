"""One process that loads a model and specializes it: ``python -m benchmarks.specialize.worker ...``.

Prints one JSON object; started by `benchmarks.specialize.run`, so that each peak of memory is its own.
"""

import json
import resource
import sys
import time
from pathlib import Path


def main() -> None:
    """Arguments: model, file of names, number of names, threads, repeats."""
    model_name, names_file, n_names, n_threads, n_repeats = sys.argv[1:]
    names = Path(names_file).read_text(encoding="utf-8").splitlines()[: int(n_names)]
    started = time.perf_counter()
    import hyperclip

    model = hyperclip.load(model_name, n_threads=int(n_threads))
    load_s = time.perf_counter() - started
    loaded_mb = _peak_mb()
    seconds = []
    for _ in range(int(n_repeats)):
        started = time.perf_counter()
        classifier = model.specialize(names)
        seconds.append(time.perf_counter() - started)
    found = {
        "n_names": len(names),
        "load_s": load_s,
        "first_s": seconds[0],
        "specialize_s": seconds,
        "loaded_mb": loaded_mb,
        "peak_mb": _peak_mb(),
        "file_bytes": len(classifier.to_bytes()),
    }
    print(json.dumps(found))


def _peak_mb() -> float:
    """Return the largest memory that this process has had, in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


if __name__ == "__main__":
    main()
