"""Natural and robust accuracy with counts, intervals and a manifest."""

from robdsl.evaluation.accuracy import Accuracy, wilson_interval
from robdsl.evaluation.evaluate import evaluate
from robdsl.evaluation.examine import Attacker, right, right_under
from robdsl.evaluation.manifest import Json, Manifest, describe_data, make_manifest, text_hash, weights_hash
from robdsl.evaluation.placement import model_device, model_dtype
from robdsl.evaluation.progress import EvaluationProgress
from robdsl.evaluation.report import PAPER_COLUMNS, AttackReport, Report
from robdsl.evaluation.shelf import keep_report

__all__ = [
    "PAPER_COLUMNS",
    "Accuracy",
    "AttackReport",
    "Attacker",
    "EvaluationProgress",
    "Json",
    "Manifest",
    "Report",
    "describe_data",
    "evaluate",
    "keep_report",
    "make_manifest",
    "model_device",
    "model_dtype",
    "right",
    "right_under",
    "text_hash",
    "weights_hash",
    "wilson_interval",
]
