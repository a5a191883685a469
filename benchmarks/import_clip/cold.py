"""One answer of a fresh process; prints its largest memory in MB.

python -m benchmarks.import_clip.cold file|source NAME PATH PHOTOGRAPH
"""

import resource
import sys
from pathlib import Path

from benchmarks.import_clip.pipeline import FilePipeline, SourcePipeline


def main() -> None:
    """Answer once."""
    kind, name, path, photograph = sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
    pipeline = FilePipeline(path) if kind == "file" else SourcePipeline(name, path)
    pipeline.predict(photograph)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)  # kB on Linux


if __name__ == "__main__":
    main()
