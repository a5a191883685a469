"""Judging a classifier: numbers from arrays, and drawings of numbers."""

from hyperclip.evaluate.calibration import expected_calibration_error
from hyperclip.evaluate.draw import Tile, contact_sheet, draw_confusion, draw_curves
from hyperclip.evaluate.metrics import (
    confusion_matrix,
    mean_per_class_recall,
    per_class_recall,
    retrieval_recall,
    top1_accuracy,
    topk_accuracy,
    wilson_interval,
)

__all__ = [
    "Tile",
    "confusion_matrix",
    "contact_sheet",
    "draw_confusion",
    "draw_curves",
    "expected_calibration_error",
    "mean_per_class_recall",
    "per_class_recall",
    "retrieval_recall",
    "top1_accuracy",
    "topk_accuracy",
    "wilson_interval",
]
