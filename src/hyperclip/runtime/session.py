"""ONNX Runtime sessions from bytes, with settings fit for a library."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from hyperclip.bundle.strict import quote
from hyperclip.errors import BundleError, InputError

__all__ = ["Session", "default_n_threads"]

MAX_THREADS = 1024
LOG_FATAL = 4  # what fails is raised as an error of ours; the runtime need not print it as well


def default_n_threads() -> int:
    """Return the number of threads a session uses unless told: at most four, at most the usable cores."""
    try:
        n_cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        n_cores = os.cpu_count() or 1
    return min(4, n_cores)


class Session:
    """One loaded model.

    Parameters
    ----------
    model : bytes
        A serialized ONNX model that was checked by `parse_model`.
    where : str
        What to call it in messages.
    n_threads : int, optional
        Threads inside an operator; by default `default_n_threads`. Threads do not spin while they wait.

    Raises
    ------
    BundleError
        If the runtime refuses the model.
    """

    def __init__(self, model: bytes, *, where: str, n_threads: int | None = None) -> None:
        if n_threads is not None and not 1 <= n_threads <= MAX_THREADS:
            raise InputError(
                f"n_threads is {quote(n_threads)}; expected a whole number from 1 to {MAX_THREADS}; "
                "leave it out for a sensible number."
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = n_threads or default_n_threads()
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = LOG_FATAL
        self._where = where
        try:
            self._session = ort.InferenceSession(
                model,
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # trying again helps nobody and prints to the standard output
            )
        except Exception as error:  # the runtime has some ten error classes without a common base
            raise self._failed("load", error) from error

    def run(
        self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[np.generic]]
    ) -> list[npt.NDArray[np.generic]]:
        """Return the named outputs for the named inputs; raises `BundleError` if the model fails."""
        options = ort.RunOptions()
        options.log_severity_level = LOG_FATAL
        try:
            results: list[npt.NDArray[np.generic]] = self._session.run(list(outputs), dict(inputs), options)
        except Exception as error:
            raise self._failed("run", error) from error
        return results

    def _failed(self, action: str, error: Exception) -> BundleError:
        """Say in one sentence what the runtime said in many."""
        reason = str(error).strip().partition("\n")[0]
        return BundleError(
            f"ONNX Runtime cannot {action} {self._where} ({quote(reason, 300)}); expected a model that "
            "fits its "
            "description; get the file again."
        )
