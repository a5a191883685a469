"""A file's fingerprint comes from its bytes, and loading does not hold them more often than needed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from hyperclip.bundle import write_bundle
from hyperclip.errors import BundleError
from hyperclip.runtime.assemble import FINGERPRINT_KEY, fingerprint_of
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.file_fingerprint import file_fingerprint
from hyperclip.runtime.specialize import load
from tiny_bundle import make_files, make_manifest

N_BYTES = 64 * 2**20
N_PARTS = 16  # one at a time is copied to check it
PEAK = """
import pathlib, re, sys
from hyperclip.runtime.classifier import Classifier
def peak():  # of this program alone; ru_maxrss begins with that of the one that started it
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])
before = peak()
Classifier.load(sys.argv[1], n_threads=1)
print(peak() - before)
"""


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A classifier file of a few kilobytes."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    write_bundle(folder, make_manifest(), make_files())
    return load(folder, n_threads=1).specialize(["cat", "dog"]).to_bytes()


def test_it_is_that_of_the_parsed_model(content: bytes) -> None:
    model = onnx.ModelProto.FromString(content)
    assert file_fingerprint(content) == fingerprint_of(model)
    assert file_fingerprint(content) == Classifier(content).metadata.fingerprint


def test_every_byte_counts(content: bytes) -> None:
    whole = file_fingerprint(content)
    for place in range(0, len(content), 97):
        changed = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        is_inside = (
            content.find(b"hyperclip.fingerprint") <= place < content.find(b"hyperclip.fingerprint") + 95
        )
        assert is_inside or file_fingerprint(changed) != whole


def test_bytes_that_are_no_model_have_none() -> None:
    rng = np.random.default_rng(0)
    for n_bytes in (0, 1, 2, 11, 50, 400):
        for _ in range(200):
            assert file_fingerprint(rng.bytes(n_bytes)) is None
    assert file_fingerprint(b"\x72\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01") is None  # claims 2**64 bytes
    assert file_fingerprint(b"\x72\x80") is None


def test_a_file_cut_off_anywhere_has_none_or_another(content: bytes) -> None:
    whole = file_fingerprint(content)
    assert all(file_fingerprint(content[:end]) != whole for end in range(0, len(content), 31))


def test_a_file_that_another_program_wrote_in_another_order_is_read(content: bytes) -> None:
    model = onnx.ModelProto.FromString(content)
    entries = model.SerializeToString(deterministic=True)
    metadata = onnx.ModelProto(metadata_props=model.metadata_props).SerializeToString(deterministic=True)
    rest = onnx.ModelProto.FromString(content)
    del rest.metadata_props[:]
    turned = metadata + rest.SerializeToString(deterministic=True)
    assert turned != entries
    assert file_fingerprint(turned) != file_fingerprint(content)
    assert Classifier(turned).metadata.fingerprint == Classifier(content).metadata.fingerprint


def test_a_changed_weight_is_noticed(content: bytes) -> None:
    model = onnx.ModelProto.FromString(content)
    tensor = max(model.graph.initializer, key=lambda item: len(item.raw_data))
    tensor.raw_data = bytes([tensor.raw_data[0] ^ 1]) + tensor.raw_data[1:]
    with pytest.raises(BundleError, match="fingerprint differs"):
        Classifier(model.SerializeToString(deterministic=True))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a program so")
def test_loading_holds_the_bytes_and_the_parsed_model_and_no_more(content: bytes, tmp_path: Path) -> None:
    """Two times the file; hashing a serialized copy would make it four, one copy of any kind three."""
    model = onnx.ModelProto.FromString(content)
    part = np.ones(N_BYTES // 4 // N_PARTS, np.float32)
    model.graph.initializer.extend(numpy_helper.from_array(part, f"part {i}") for i in range(N_PARTS))
    for entry in model.metadata_props:
        if entry.key == FINGERPRINT_KEY:
            entry.value = json.dumps(fingerprint_of(model))
    path = tmp_path / "large.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    run = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True, timeout=300
    )
    assert 1.5 * N_BYTES < int(run.stdout) * 1024 < 2.6 * N_BYTES
