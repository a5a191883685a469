"""Calls into libraries that download and chatter, made quick to fail and quiet."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

__all__ = ["quiet_library"]

PROBE_SECONDS = 10.0
CHATTERING = ("huggingface_hub", "transformers", "httpx", "timm")


@contextlib.contextmanager
def quiet_library(*, downloads: bool = True, is_offline: bool = False) -> Iterator[None]:
    """Keep other libraries' messages from the screen, and let them use their cache alone without a network.

    Parameters
    ----------
    downloads : bool
        Whether a hub may be asked; where it does not answer at once, the libraries would try for most of
        a minute before they say so.
    is_offline : bool
        Keep the libraries from the hub altogether; what its cache holds can be used.
    """
    root, nowhere = logging.getLogger(), logging.NullHandler()
    loggers = [logging.getLogger(name) for name in CHATTERING]
    levels = [logger.level for logger in loggers]

    def refuse(record: logging.LogRecord) -> bool:
        return False

    root.addHandler(nowhere)  # without any, a message would set the root logger up for good
    root.addFilter(refuse)
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        network = _offline(at_once=is_offline) if downloads or is_offline else contextlib.nullcontext()
        with _without_bars(), network:
            yield
    finally:
        root.removeFilter(refuse)
        root.removeHandler(nowhere)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _without_bars() -> Iterator[None]:
    """Hide the progress bars of transformers, where it is in use."""
    import sys

    library: Any = sys.modules.get("transformers")
    if library is None:
        yield
        return
    was_enabled = library.utils.logging.is_progress_bar_enabled()
    library.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            library.utils.logging.enable_progress_bar()


@contextlib.contextmanager
def _offline(*, at_once: bool) -> Iterator[None]:
    """Let the hub's client look into its cache alone, at once or if its server cannot be reached."""
    try:
        from huggingface_hub import constants, utils
    except ImportError:
        yield
        return
    before: Any = constants.HF_HUB_OFFLINE
    try:
        if not at_once:
            session: Any = utils
            session.get_session().head(constants.ENDPOINT, timeout=PROBE_SECONDS)
    except Exception:  # of whatever library the client is built on
        at_once = True
    if at_once:
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
