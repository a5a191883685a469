"""One answer of a fresh process; prints its largest memory in MB (Linux alone).

python -m benchmarks.import_clip.cold file|source NAME PATH PHOTOGRAPH
"""

import re
import sys
from pathlib import Path

from benchmarks.import_clip.pipeline import FilePipeline, SourcePipeline


def main() -> None:
    """Answer once."""
    kind, name, path, photograph = sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
    pipeline = FilePipeline(path) if kind == "file" else SourcePipeline(name, path)
    pipeline.predict(photograph)
    # Not getrusage: a child's largest memory there begins with that of the process that it was forked from.
    (peak_kb,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    print(int(peak_kb) / 1024)


if __name__ == "__main__":
    main()
