"""Sessions fail with one sentence of ours and print nothing."""

import numpy as np
import onnx
import pytest

from hyperclip.errors import BundleError, InputError
from hyperclip.runtime.session import Session, default_n_threads
from tiny_bundle import DIM, make_encoder


def test_a_session_runs_a_model_from_bytes() -> None:
    session = Session(make_encoder(), where="encoder.onnx")
    (embedding,) = session.run(["embedding"], {"images": np.zeros((2, 3, 16, 16), np.float32)})
    assert embedding.shape == (2, DIM)


def test_threads_do_not_change_the_result() -> None:
    images = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    results = [
        Session(make_encoder(), where="e", n_threads=n_threads).run(["embedding"], {"images": images})[0]
        for n_threads in (1, 2)
    ]
    np.testing.assert_array_equal(results[0], results[1])


def test_default_threads_are_few() -> None:
    assert 1 <= default_n_threads() <= 4


@pytest.mark.parametrize("n_threads", [0, -1, 10**6])
def test_a_senseless_number_of_threads_is_refused(n_threads: int) -> None:
    with pytest.raises(InputError, match="n_threads"):
        Session(make_encoder(), where="e", n_threads=n_threads)


def test_a_model_that_the_runtime_refuses_is_one_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    model = onnx.ModelProto.FromString(make_encoder())
    model.graph.node[1].op_type = "NoSuchOperator"
    with pytest.raises(BundleError, match=r"cannot load encoder\.onnx") as caught:
        Session(model.SerializeToString(), where="encoder.onnx")
    assert len(str(caught.value).encode()) < 1500
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_model_with_broken_text_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    model = make_encoder().replace(b"strides", b"stride\xff")
    with pytest.raises(BundleError, match=r"cannot load encoder\.onnx"):
        Session(model, where="encoder.onnx")
    assert capfd.readouterr() == ("", "")


def test_a_run_that_fails_is_one_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    session = Session(make_encoder(), where="encoder.onnx")
    with pytest.raises(BundleError, match=r"cannot run encoder\.onnx") as caught:
        session.run(["embedding"], {"images": np.zeros((1, 5, 16, 16), np.float32)})
    assert len(str(caught.value).encode()) < 1500
    assert capfd.readouterr().err == ""
