"""A whole search, its stages one by one, and a study that is taken further."""

from __future__ import annotations

import shutil
from pathlib import Path

import optuna
import pytest
import torch
from optuna.trial import TrialState

import robdsl
from robdsl.attacks import parse_attacks
from robdsl.data import derive_seed, generator
from robdsl.evaluation import right, right_under
from robdsl.graph.load import check_file
from robdsl.search import Place, SearchError, emit, open_study, read_bank, retrain, status_of
from robdsl.search.choosing import ranked, spread
from robdsl.search.events import Event, StageDone, Training, TrialDone
from robdsl.search.filtering import flow_score
from robdsl.search.supernet.fsp import fsp_distances
from robdsl.search.supernet.norms import recompute_batch_norm
from robdsl.search.supernet.supernet import Supernet
from robdsl.training import EpochDone
from tests.search.small import begin, blobs, outcome, recipe, settings, work


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    """A finished study of eight nets, of which a quarter is rejected and the four best of the others finetuned."""
    folder = tmp_path_factory.mktemp("search") / "s"
    with begin(folder, 8, filter="quantile", threshold=0.25, finetune=4, choose="best") as study:
        return folder, work(study)


def test_everything_in_one_go(searched: tuple[Path, list[Event]]) -> None:
    folder, told = searched
    assert [each.stage for each in told if isinstance(each, StageDone)] == [
        "supernet", "sample", "filter", "finetune", "evaluate",
    ]  # fmt: skip
    bank = read_bank(folder)
    assert len(bank) == 8
    assert bank["state"].value_counts().to_dict() == {"evaluated": 4, "rejected": 2, "sampled": 2}
    assert bank[["natural_inherited", "robust_inherited"]].notna().all(axis=None)
    assert (bank["robust_inherited"] <= bank["natural_inherited"]).all()
    judged = bank[bank["state"] == "evaluated"]
    assert judged["robust_finetuned"].notna().all() and (judged["examples"] == 24).all()
    # What FSP rejects is worse than all that it leaves, by the deeper of the two cells.
    deeper = bank["fsp"].map(lambda each: each[-1])
    assert deeper[bank["state"] == "rejected"].min() > deeper[bank["state"] != "rejected"].max()
    # The four are the best of the others with inherited weights.
    left = bank[bank["state"] != "rejected"].sort_values(
        ["robust_inherited", "natural_inherited", "trial"], ascending=[False, False, True]
    )
    assert set(left["trial"][:4]) == set(judged["trial"])
    with open_study(folder) as study:
        assert status_of(study).finished
    assert not list((folder / "work").iterdir()), "nothing is left of finetuning"


def test_the_bank_tells_the_truth(searched: tuple[Path, list[Event]]) -> None:
    with open_study(searched[0]) as study:
        for row in read_bank(searched[0]).to_dict("records"):
            net = study.space.net(row["alpha"])
            assert (net.hash, net.cost.params, net.cost.macs) == (row["hash"], row["params"], row["macs"])
            assert net.stats().density == row["density"] and len(row["fsp"]) == len(net.cells)
            assert row["space"] == "small_space" and row["parameters"] == '{"width": 2}'


def test_figures_are_those_of_the_plain_way(searched: tuple[Path, list[Event]]) -> None:
    """In the supernet, not frozen; the draws are the same, so that at most an image that rounding decides differs."""
    weights = searched[0] / "supernet" / "last.safetensors"
    with open_study(searched[0]) as study:
        supernet, judge = Supernet(study.space, 0), settings()
        robdsl.load_weights(supernet, weights)
        images, labels = blobs(24, 1).tensors()
        (attack,) = parse_attacks(judge.attack, eps=judge.eps, step_size=judge.step_size)
        for trial in study.trials()[:4]:
            net = study.net(trial)
            supernet.choose(net)
            recompute_batch_norm(supernet, blobs().take(32).tensors()[0], batch=judge.batch)
            draws = generator(torch.device("cpu"), derive_seed(0, "examine", net.hash, "inherited"), 0)
            supernet.eval()
            clean = right(supernet, images, labels)
            kept, result = right_under(supernet, images, labels, attack, draws)
            assert abs(24 * trial.facts["natural_inherited"] - int(clean.sum())) <= 1
            assert abs(24 * trial.facts["robust_inherited"] - int((clean & kept).sum())) <= 1
            fsp = fsp_distances(supernet, images, result.images)
            assert trial.facts["fsp"] == pytest.approx(fsp.tolist(), rel=1e-3)


def test_optuna_opens_the_study_as_it_is(searched: tuple[Path, list[Event]]) -> None:
    theirs = optuna.load_study(study_name="search", storage=f"sqlite:///{searched[0]}/study.db")
    bank = read_bank(searched[0])
    for row in bank.to_dict("records"):
        trial = theirs.trials[row["trial"]]
        assert trial.user_attrs["alpha"] == row["alpha"] and trial.user_attrs["state"] == row["state"]
        if row["state"] == "evaluated":
            assert trial.state is TrialState.COMPLETE and trial.values == [row["robust_finetuned"]]
        elif row["state"] == "rejected":
            assert trial.state is TrialState.PRUNED
    assert theirs.best_value == bank["robust_finetuned"].max()


def test_what_is_emitted_is_whole(searched: tuple[Path, list[Event]], tmp_path: Path) -> None:
    shutil.copytree(searched[0], tmp_path / "s")
    with open_study(tmp_path / "s") as study:
        rows = ranked(study.rows())
        paths = emit(study, 2)
        assert len(paths) == 2
        for path, row in zip(paths, rows, strict=False):
            assert check_file(path) == ()
            net = robdsl.load(path)
            assert net.hash == row["hash"] == net.meta["hash"] and net.meta["trial"] == row["trial"]
            assert net.meta["study"] == "s" and net.meta["examples"] == 24
            assert net.meta["robust_finetuned_correct"] == round(24 * row["robust_finetuned"])
            assert [float(each) for each in str(net.meta["fsp"]).split()] == pytest.approx(
                row["fsp"], rel=1e-5
            )
            assert net.meta["finetune_seed"] == row["finetune_seed"]
        assert emit(study, 1) == paths[:1] and not paths[1].exists()


def test_training_from_scratch_is_noted(searched: tuple[Path, list[Event]], tmp_path: Path) -> None:
    shutil.copytree(searched[0], tmp_path / "s")
    place = Place(blobs(), blobs(24, 1), torch.device("cpu"))
    with open_study(tmp_path / "s", read_only=False) as study:
        chosen = [ranked(study.rows())[0], *spread(ranked(study.rows()), 1)]
        told: list[Event] = []
        retrain(study, place, recipe(epochs=2), chosen, told.append)
        assert len([each for each in told if isinstance(each, TrialDone)]) == 2
        told.clear()
        retrain(study, place, recipe(epochs=2), chosen, told.append)
        assert not any(isinstance(each, TrialDone) for each in told)
        bank = read_bank(tmp_path / "s").set_index("trial")
        for row in chosen:
            assert 0 <= bank["robust_scratch"][row["trial"]] <= bank["natural_scratch"][row["trial"]] <= 1
        assert bank["robust_scratch"].notna().sum() == 2
        correct = robdsl.load(emit(study, 1)[0]).meta["robust_scratch_correct"]
        assert correct == round(24 * bank["robust_scratch"][chosen[0]["trial"]])
        assert "finetuned-scratch" in status_of(study).correlations


def test_stages_one_by_one_end_as_all_at_once(searched: tuple[Path, list[Event]], tmp_path: Path) -> None:
    with begin(tmp_path / "s", 8, filter="quantile", threshold=0.25, finetune=4, choose="best") as parts:
        with pytest.raises(SearchError, match="no supernet yet"):
            work(parts, ("sample", "filter"))
        for stage in ("supernet", "sample", "filter", "finetune"):
            work(parts, (stage,))
            again = work(parts, (stage,))
            assert not any(isinstance(each, TrialDone) for each in again), "what is done is not done again"
        assert {each.state for each in parts.trials()} == {"rejected", "finetuned", "sampled"}
        assert len(list((tmp_path / "s" / "finetuned").iterdir())) == 4
        work(parts, ("evaluate",))
        with open_study(searched[0]) as whole:
            assert outcome(parts) == outcome(whole)
        assert not list((tmp_path / "s" / "finetuned").iterdir())


def test_how_far_the_supernet_is_can_be_seen_from_outside(tmp_path: Path) -> None:
    with begin(tmp_path / "s", 1) as study, open_study(tmp_path / "s") as outside:
        seen = []

        def look(event: Event) -> None:
            if isinstance(event, Training) and isinstance(event.event, EpochDone):
                seen.append(status_of(outside).training)

        work(study, ("supernet",), tell=look)
        assert [(each.epoch, each.epochs) for each in seen if each is not None] == [(0, 2), (0, 2)]
        assert all(each is not None and each.seconds_left > 0 for each in seen)
        assert status_of(outside).training is None, "it is trained"


def test_weights_that_were_left_elsewhere_are_missed(tmp_path: Path) -> None:
    with begin(tmp_path / "s", 1) as study:
        work(study, ("supernet", "sample", "filter", "finetune"))
        (tmp_path / "s" / "finetuned" / "0.safetensors").unlink()
        with pytest.raises(SearchError, match="was finetuned elsewhere"):
            work(study, ("evaluate",))


def test_a_study_is_taken_further(tmp_path: Path) -> None:
    """More trials later end as those of a study that wanted them at once."""
    for trials in (2, 4):
        with begin(tmp_path / "s", trials) as study:
            work(study)
            known = outcome(study)
            if trials == 2:
                first = known
    with begin(tmp_path / "once", 4) as study:
        work(study)
        assert outcome(study) == known
    assert {number: known[number] for number in first} == first


def test_inherited_weights_may_have_the_last_word(tmp_path: Path) -> None:
    with begin(tmp_path / "s", 3, recipe_for_finetuning=None) as study:
        work(study)
    bank = read_bank(tmp_path / "s")
    assert (bank["state"] == "evaluated").all() and bank["robust_finetuned"].isna().all()
    theirs = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path}/s/study.db")
    assert theirs.best_value == bank["robust_inherited"].max()


def test_draws_that_repeat_cost_nothing_and_blind_nets_fail(tmp_path: Path) -> None:
    """One choice for both cells: there are 63, many alike, and in some the image does not reach the logits."""
    with begin(tmp_path / "s", 12, searched="shared_space", recipe_for_finetuning=None, seed=54) as study:
        told = work(study)
        trials = study.trials()
        status = status_of(study)
        assert status.finished
        assert status.failures == {"its answer does not depend on the image": status.states["failed"]}
    repeated = [each for each in trials if each.duplicate_of is not None]
    distinct = {each.facts["hash"] for each in trials}
    assert len(distinct) + len(repeated) == 12 and len(repeated) == 3
    for each in repeated:
        assert each.duplicate_of is not None
        twin = trials[each.duplicate_of]
        assert twin.duplicate_of is None and twin.number < each.number
        names = {"hash", "state", "robust_inherited", "failure"}
        assert {name: twin.facts.get(name) for name in names} == {
            name: each.facts.get(name) for name in names
        }
        assert each.finished
    measured = [each for each in told if isinstance(each, TrialDone) and each.stage == "filter"]
    assert len(measured) == len(distinct) == len(read_bank(tmp_path / "s"))
    failed = [each for each in trials if each.state == "failed"]
    assert failed and all("does not depend on the image" in each.facts["failure"] for each in failed)
    for each in trials:
        codes = str(each.facts["alpha"][0]).split()
        assert (each.state == "failed") == (codes[0] == "00" and codes[2] == "00")


def test_a_net_that_breaks_down_is_a_failed_trial(tmp_path: Path) -> None:
    breaking = recipe(lr=1e6, weight_decay=1e6, epochs=4, clip=None)
    with begin(tmp_path / "s", 2, recipe_for_finetuning=breaking) as study:
        work(study)
        assert {each.state for each in study.trials()} == {"failed"}
        assert status_of(study).finished
    assert read_bank(tmp_path / "s")["robust_finetuned"].isna().all()


def test_flow_score_looks_at_the_deeper_cells() -> None:
    assert flow_score([9.0, 1.0, 3.0], 0.5) == 2.0
    assert flow_score([9.0, 1.0, 3.0], 0.01) == 3.0
    assert flow_score([9.0, 1.0, 5.0], 1.0) == 5.0


def test_a_study_may_be_looked_at_while_it_is_worked_on(tmp_path: Path) -> None:
    with begin(tmp_path / "s", 3) as study:
        work(study, ("supernet", "sample"))
        with open_study(tmp_path / "s") as other:
            before = status_of(other)
            work(study)
            after = status_of(other)
    assert (before.drawn, before.measured, before.finished, before.best) == (3, 0, False, None)
    assert (after.drawn, after.measured, after.finished) == (3, 3, True) and after.best is not None
    assert read_bank(tmp_path / "s")["robust_finetuned"].max() == after.best.robust
