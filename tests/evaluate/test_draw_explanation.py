"""The picture of an explanation: bars by text, and the whole sentence about the control below."""

from pathlib import Path

import pytest
from PIL import Image

BARS = [("petals in rings", 6.9, False), ("flower", 1.0, True), ("striped <fur> $x$", -0.9, False)]
NOTE = "Random phrases do worse by no more than chance allows: " + "word " * 25 + "THE END."


def test_a_long_note_is_wrapped_and_keeps_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    from hyperclip.evaluate import draw_explanation as module

    notes = []
    original = module.rendered

    def spy(figure):
        notes.append(figure.get_supxlabel())
        return original(figure)

    monkeypatch.setattr(module, "rendered", spy)
    image = Image.new("RGB", (60, 40), (200, 100, 50))
    path = tmp_path / "reasons.png"
    module.draw_explanation(image, BARS, path, title="flower", subtitle="against cat", note=NOTE)
    assert notes[0].endswith("THE END.")
    assert len(notes[0].splitlines()) == 2
    with Image.open(path) as drawn:
        assert drawn.width > drawn.height > 100
