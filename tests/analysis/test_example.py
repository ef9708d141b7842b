"""The example under docs/: every figure of its report, held to an independent computation.

The computations here read the table with pandas and the architectures with `Space.net`; they share nothing with
robdsl.analysis but scikit-learn's models where those are the definition.
"""

from __future__ import annotations

import json
import math
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression, SGDClassifier
from sklearn.model_selection import StratifiedKFold

import robdsl
from robdsl.analysis import (
    TITLES,
    Analysis,
    Budgets,
    DensityTrend,
    EdgeImportance,
    Embedding,
    FinetuningShift,
    FlowTrend,
    OperationEffects,
    RankAgreement,
    Separation,
    SizeTrend,
    TooFew,
    analyze,
    bank,
    read_references,
)
from robdsl.graph.net import Net
from robdsl.search import read_bank
from tests.conftest import Golden

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = DOCS / "examples" / "digits_bank.parquet"
REFERENCES = DOCS / "examples" / "digits_references.json"
FIGURES = DOCS / "examples" / "digits_figures"
PAGE = (DOCS / "report.md").read_text(encoding="utf-8")
MARK = "<!-- from here on written by the tests -->"


@cache
def analysis() -> Analysis:
    return analyze(bank(read_bank(EXAMPLE)), references=read_references(REFERENCES))


@cache
def plain() -> pd.DataFrame:
    """The table, read without robdsl, with the nets that its alphas stand for."""
    frame = pd.read_parquet(EXAMPLE)
    space = robdsl.load_space(frame["space"][0], **json.loads(frame["parameters"][0]))
    nets = [space.net(list(alpha)) for alpha in frame["alpha"]]
    return frame.assign(net=nets, robust=frame[analysis().judged])


def known(*columns: str) -> pd.DataFrame:
    return plain().dropna(subset=list(columns)).reset_index(drop=True)


def found(name: str, kind: type[Any], have: int) -> Any:
    """A figure of the example; None where it has too few architectures, as it then says."""
    figure = analysis().findings[name]
    if isinstance(figure, TooFew):
        assert figure.have == have < figure.need
        return None
    assert isinstance(figure, kind)
    return figure


def count(net: Net, operation: str, direct: bool | None = None) -> float:
    """How often a net chose an operation, a pick."""
    field = {None: "counts", True: "direct", False: "skips"}[direct]
    return float(np.mean([getattr(each, field).get(operation, 0) for each in net.stats().choices]))


def test_the_table_is_what_its_architectures_say() -> None:
    for row in plain().itertuples():
        assert row.net.cost.params == row.params and row.net.cost.macs == row.macs
        assert row.net.stats().density == pytest.approx(row.density)
    first = plain().iloc[0]
    assert first.net.hash == first["hash"]


def test_it_has_enough_for_most_figures() -> None:
    drawn = [name for name, each in analysis().findings.items() if not isinstance(each, TooFew)]
    assert len(plain()) >= 300
    assert {"figure_1", "figure_4a", "figure_4b", "figure_5", "figure_6a", "figure_6b", "figure_7"} <= set(
        drawn
    )


def test_figure_1() -> None:
    rows = known("robust")
    figure: SizeTrend | None = found("figure_1", SizeTrend, len(rows))
    if figure is None:
        return
    points = list(zip(rows["params"], rows["robust"], strict=True))
    front = [not any(c <= a and g >= b and (c < a or g > b) for c, g in points) for a, b in points]
    assert figure.front.tolist() == front
    assert figure.spearman.value == pytest.approx(stats.spearmanr(rows["params"], rows["robust"])[0])


def test_figure_3() -> None:
    rows = known("robust_inherited", "robust_finetuned")
    figure: FinetuningShift | None = found("figure_3", FinetuningShift, len(rows))
    if figure is None:
        return
    assert figure.n == len(rows)
    for counts, column in ((figure.before, "robust_inherited"), (figure.after, "robust_finetuned")):
        bins = pd.cut(rows[column], list(figure.edges), right=False)
        inner = bins.value_counts(sort=False).to_numpy()
        assert counts[:-1].tolist() == inner[:-1].tolist() and counts.sum() == len(rows)
    difference = (rows["robust_finetuned"] - rows["robust_inherited"]).to_numpy()
    assert figure.gain.value == pytest.approx(difference.mean())
    # The bootstrap of a mean is close to the normal interval.
    reach = 1.96 * difference.std(ddof=1) / math.sqrt(len(difference))
    assert (figure.gain.low, figure.gain.high) == pytest.approx(
        (difference.mean() - reach, difference.mean() + reach), abs=reach / 4
    )


def test_figure_4a() -> None:
    rows = known("robust")
    figure: Embedding | None = found("figure_4a", Embedding, len(rows))
    if figure is None:
        return
    order = sorted(range(len(rows)), key=lambda i: -rows["robust"][i])
    size = int(0.3 * len(rows))
    chosen = order[:size] + order[-size:]
    codes = [[*"".join(rows["alpha"][i]).replace("|", "").replace(" ", "")] for i in chosen]
    shares = []
    for i, mine in enumerate(codes):
        far = [sum(a != b for a, b in zip(mine, other, strict=True)) for other in codes]
        far[i] = 10**6
        cut = sorted(far)[4]
        sure = [j for j, each in enumerate(far) if each < cut]
        tied = [j for j, each in enumerate(far) if each == cut]
        same = float(sum((j < size) == (i < size) for j in sure))
        # Among equally near ones any may be taken: what they give on average.
        same += (5 - len(sure)) * sum((j < size) == (i < size) for j in tied) / len(tied)
        shares.append(same / 5)
    assert figure.agreement == pytest.approx(np.mean(shares), abs=0.06)
    assert figure.best.sum() == size and len(figure.points) == 2 * size


def test_figure_4b() -> None:
    rows = known("robust")
    figure: Separation | None = found("figure_4b", Separation, len(rows))
    if figure is None:
        return
    bits = np.array([[int(bit) for bit in "".join(alpha) if bit in "01"] for alpha in rows["alpha"]])
    order = np.argsort(-rows["robust"].to_numpy(), kind="stable")
    size = int(0.3 * len(rows))
    chosen, labels = np.concatenate([order[:size], order[-size:]]), np.arange(2 * size) < size
    right = 0
    for train, test in StratifiedKFold(10, shuffle=True, random_state=0).split(chosen, labels):
        model = SGDClassifier(average=True, random_state=0).fit(bits[chosen[train]], labels[train])
        right += int((model.predict(bits[chosen[test]]) == labels[test]).sum())
    assert figure.held_out.value == pytest.approx(right / len(chosen))
    whole = SGDClassifier(average=True, random_state=0).fit(bits[chosen], labels)
    assert figure.training == pytest.approx(whole.score(bits[chosen], labels))
    assert figure.weights == pytest.approx(whole.coef_[0] / np.linalg.norm(whole.coef_[0]))


def test_figure_5() -> None:
    rows = known("robust")
    figure: DensityTrend | None = found("figure_5", DensityTrend, len(rows))
    if figure is None:
        return
    pearson = stats.pearsonr(rows["density"], rows["robust"])
    assert figure.pearson.value == pytest.approx(pearson.statistic)
    assert figure.spearman.value == pytest.approx(stats.spearmanr(rows["density"], rows["robust"])[0])
    # Fisher's interval is another way to the same.
    fisher = pearson.confidence_interval(0.95)
    assert (figure.pearson.low, figure.pearson.high) == pytest.approx((fisher.low, fisher.high), abs=0.05)


def test_figure_6a() -> None:
    rows = known("robust")
    figure: OperationEffects | None = found("figure_6a", OperationEffects, len(rows))
    if figure is None:
        return
    table = np.array([[count(net, e.operation, e.direct) for e in figure.effects] for net in rows["net"]])
    model = LinearRegression().fit(table, rows["robust"])
    assert [each.effect.value for each in figure.effects] == pytest.approx(model.coef_.tolist())
    assert figure.explained == pytest.approx(model.score(table, rows["robust"]))


def test_figure_6b() -> None:
    rows = known("robust")
    total = np.array([count(net, "sep_conv_3x3") for net in rows["net"]])
    direct = np.array([count(net, "sep_conv_3x3", direct=True) for net in rows["net"]])
    groups = {"small": total <= 7, "medium": (total > 7) & (total <= 10), "large": total > 10}
    figure: Budgets | None = found("figure_6b", Budgets, max(int(each.sum()) for each in groups.values()))
    if figure is None:
        return
    for each in figure.budgets:
        inside = groups[each.name] & (total > 0)
        assert each.n == inside.sum()
        if not isinstance(each.spearman, TooFew):
            share = direct[inside] / total[inside]
            assert each.spearman.value == pytest.approx(stats.spearmanr(share, rows["robust"][inside])[0])


def test_figure_7() -> None:
    natural = analysis().judged.replace("robust", "natural")
    rows = known("robust", natural, "fsp")
    figure: FlowTrend | None = found("figure_7", FlowTrend, len(rows))
    if figure is None:
        return
    gap = rows[natural] - rows["robust"]
    for place, each in enumerate(figure.cells):
        distances = [fsp[place] for fsp in rows["fsp"]]
        assert each.value == pytest.approx(stats.spearmanr(distances, gap)[0])


def test_importance() -> None:
    """Variances of group means say the same of the edges that stand out."""
    rows = known("robust")
    figure: EdgeImportance | None = found("importance", EdgeImportance, len(rows))
    if figure is None:
        return
    robust = rows["robust"].to_numpy()
    shares = {}
    for pick, _ in enumerate(rows["alpha"][0]):
        codes = [alpha[pick].replace("|", "").split() for alpha in rows["alpha"]]
        edges = rows["net"][0].layout.picks[pick].opens
        for place, edge in enumerate(edges):
            groups = pd.Series(robust).groupby([code[place] for code in codes])
            between = (groups.count() * (groups.mean() - robust.mean()) ** 2).sum()
            shares[rows["net"][0].layout.picks[pick].name, edge.source, edge.target] = between
    ours = [
        share
        for _, share in sorted(zip(figure.edges, figure.importance, strict=True), key=lambda e: str(e[0]))
    ]
    theirs = [shares[e.pick, e.source, e.target] for e in sorted(figure.edges, key=str)]
    assert np.corrcoef(ours, theirs)[0, 1] > 0.7


def test_ranks() -> None:
    rows = known("robust_inherited", "robust_finetuned")
    figure: RankAgreement | None = found("ranks", RankAgreement, len(rows))
    if figure is None:
        return
    pairs = list(zip(rows["robust_inherited"], rows["robust_finetuned"], strict=True))
    agree = untied_x = untied_y = 0
    for (a, b), (c, d) in combinations(pairs, 2):
        agree += int(np.sign(a - c) * np.sign(b - d))
        untied_x += a != c
        untied_y += b != d
    assert figure.tau.value == pytest.approx(agree / math.sqrt(untied_x * untied_y))


def sections() -> str:
    """The figures as a part of the page."""
    frame = plain()
    measured, finetuned = (int(frame[f"robust_{each}"].notna().sum()) for each in ("inherited", "finetuned"))
    lines = [
        f"Of {len(frame)} architectures, {measured} were judged with the supernet's weights and {finetuned} after finetuning; "
        f"robust accuracy below is `{analysis().judged}`. {analysis().noise.sentence}"
    ]
    for name, finding in analysis().findings.items():
        _, figure, number = name.partition("figure_")
        lines += [f"### {f'Figure {number}: ' if figure else ''}{TITLES[name]}", finding.sentence]
        pictures = sorted(FIGURES.glob(f"{name}.png")) + sorted(FIGURES.glob(f"{name}_[!s]*.png"))
        lines += [f"![{TITLES[name]}](examples/{FIGURES.name}/{each.name})" for each in pictures]
    return "\n\n".join(lines) + "\n"


# What depends on the version of scikit-learn is quoted too, but not held to the letter.
STEADY = ("figure_1", "figure_3", "figure_5", "figure_6a", "figure_6b", "figure_7", "ranks")


def test_the_page_quotes_the_report(golden: Golden) -> None:
    before, mark, quoted = PAGE.partition(MARK)
    assert mark
    if golden.update:
        golden.check(DOCS / "report.md", f"{before}{mark}\n\n{sections()}")
        return
    for name in STEADY:
        assert analysis().findings[name].sentence in quoted, name
    assert analysis().noise.sentence in quoted
    headings = [line for line in sections().splitlines() if line.startswith(("###", "!["))]
    assert [line for line in quoted.splitlines() if line.startswith(("###", "!["))] == headings
    drawn = {name for name, each in analysis().findings.items() if not isinstance(each, TooFew)}
    assert all(any(f"/{name}" in line for line in headings if line.startswith("![")) for name in drawn)
