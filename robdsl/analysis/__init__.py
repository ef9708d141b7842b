"""Statistics of architectures and their robustness: what the paper's Figures 1 and 3 to 7 show.

Each statistic is a function over plain arrays that returns a small frozen dataclass: the data, and ``sentence``, which says
what it shows and how sure one may be; or `TooFew`, where there is not enough to say anything. `bank` checks a table of
architectures (`robdsl.search.read_bank`), and `analyze` makes everything from it.
"""

from robdsl.analysis.accuracy import CountingNoise, FinetuningShift, counting_noise, finetuning_shift
from robdsl.analysis.alpha import AlphaError, AlphaMatrix, Column, alpha_matrix
from robdsl.analysis.bank import Bank, StudyError, bank
from robdsl.analysis.budgets import Budget, Budgets, budgets
from robdsl.analysis.embedding import Embedding, embedding
from robdsl.analysis.flow import FlowTrend, flow_trend
from robdsl.analysis.importance import EdgeImportance, edge_importance
from robdsl.analysis.operations import OperationEffect, OperationEffects, operation_effects
from robdsl.analysis.references import read_references
from robdsl.analysis.relation import DensityTrend, RankAgreement, density_trend, rank_agreement
from robdsl.analysis.results import Estimate, Finding, TooFew
from robdsl.analysis.separation import Separation, separation
from robdsl.analysis.sizes import Reference, SizeTrend, size_trend
from robdsl.analysis.study import TITLES, Analysis, analyze

__all__ = [
    "TITLES",
    "AlphaError",
    "AlphaMatrix",
    "Analysis",
    "Bank",
    "Budget",
    "Budgets",
    "Column",
    "CountingNoise",
    "DensityTrend",
    "EdgeImportance",
    "Embedding",
    "Estimate",
    "Finding",
    "FinetuningShift",
    "FlowTrend",
    "OperationEffect",
    "OperationEffects",
    "RankAgreement",
    "Reference",
    "Separation",
    "SizeTrend",
    "StudyError",
    "TooFew",
    "alpha_matrix",
    "analyze",
    "bank",
    "budgets",
    "counting_noise",
    "density_trend",
    "edge_importance",
    "embedding",
    "finetuning_shift",
    "flow_trend",
    "operation_effects",
    "rank_agreement",
    "read_references",
    "separation",
    "size_trend",
]
