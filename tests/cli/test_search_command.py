"""robdsl search and its commands on handwritten digits, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from robdsl.search import read_bank
from tests.cli.conftest import Run

SPACE = """op conv_3x3 = relu | conv(3) | batch_norm(affine=false)

cell tiny_cell {
    in x
    x    -> a   : any { identity, conv_3x3 }
    x, a -> out : any { identity, conv_3x3 }
}

space tiny_space(width=4, classes=10) {
    input 3 x 32 x 32
    avg_pool(8) | conv(3, width) | batch_norm
    pick tiny_cell
    pick tiny_cell
    global_avg_pool | flatten | linear(classes)
    require indegree(tiny_cell.out) == 2
}
"""
OPTIONS = (
    "--space", "tiny_space.rob", "--set", "width=3", "--data", "digits", "-o", "s", "--trials", "5", "--steps", "1",
    "--supernet-epochs", "2", "--supernet-batch", "256", "--batch", "256", "--epochs", "1", "--attack", "pgd2",
    "--images", "40", "--norm-images", "256", "--filter", "quantile:0.2", "--finetune", "3", "--emit", "2",
    "--device", "cpu",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("ROBDSL_STORAGE", raising=False)


def test_a_search_from_space_to_nets_that_train(robdsl: Run) -> None:
    Path("tiny_space.rob").write_text(SPACE, encoding="utf-8")
    done = robdsl("search", *OPTIONS)
    assert done.status == 0, done.err
    assert "3 evaluated" in done.out and "Kendall's tau" in done.out
    for stage in ("supernet", "sample", "filter", "finetune", "evaluate"):
        assert f"{stage}: done" in done.err
    before = read_bank("s")

    again = robdsl("search", *OPTIONS, "--json")
    assert again.status == 0, again.err
    told = json.loads(again.out)
    assert told["finished"] and len(told["emitted"]) == 2 and told["states"]["evaluated"] == 3
    assert read_bank("s").equals(before), "the same command finds nothing left to do"

    status = robdsl("search", "status", "s", "--json")
    assert json.loads(status.out)["best"] == told["best"]
    exported = robdsl("search", "export", "s", "-o", "bank.parquet")
    assert exported.status == 0 and read_bank("bank.parquet").equals(before)
    assert robdsl("search", "export", "s", "-o", "bank.jsonl").status == 0
    assert read_bank("bank.jsonl").equals(before)

    best = Path(told["emitted"][0])
    assert robdsl("check", best).status == 0
    trained = robdsl("train", best, "--epochs", 1, "--steps", 1, "--device", "cpu", "-o", "run")
    assert trained.status == 0, trained.err

    retrained = robdsl(
        "search",
        "retrain",
        "s",
        "--best",
        1,
        "--spread",
        1,
        "--median",
        2,
        "--epochs",
        1,
        "--steps",
        1,
        "--device",
        "cpu",
        "--workers",
        2,
    )
    assert retrained.status == 0, retrained.err
    assert "the best, from scratch: robust" in retrained.out and "difference:" in retrained.out
    bank = read_bank("s")

    options = ("--best", 1, "--spread", 1, "--median", 2, "--steps", 1, "--device", "cpu", "--json")
    repeated = robdsl("search", "retrain", "s", *options)
    told = json.loads(repeated.out)
    rows = told["retrained"]
    assert rows[0]["best"] == 1 and all(0 <= row["robust_scratch"] <= 1 for row in rows)
    assert bank["robust_scratch"].notna().sum() == len(rows) and read_bank("s").equals(bank)
    found = dict(zip(bank["trial"], bank["robust_scratch"], strict=True))
    ranking = bank.sort_values(
        ["robust_inherited", "natural_inherited", "trial"], ascending=[False, False, True]
    )
    middle = [found[trial] for trial in ranking["trial"][1:3]]
    compared = told["compared"]
    assert compared["median"]["mean"] == pytest.approx(sum(middle) / 2)
    assert compared["difference"] == pytest.approx(rows[0]["robust_scratch"] - sum(middle) / 2)


def test_stages_and_workers(robdsl: Run) -> None:
    Path("tiny_space.rob").write_text(SPACE, encoding="utf-8")
    assert robdsl("search", *OPTIONS, "--stage", "supernet", "--stage", "sample").status == 0
    assert set(read_bank("s")["state"]) == {"sampled"}
    done = robdsl("search", "filter", "s", "--device", "cpu", "--workers", 2)
    assert done.status == 0, done.err
    assert read_bank("s")["robust_inherited"].notna().all()
    assert robdsl("search", "worker", "s", "--device", "cpu").status == 0
    assert (read_bank("s")["state"] == "evaluated").sum() == 3
    emitted = robdsl("search", "emit", "s", "--emit", 1)
    assert emitted.status == 0 and len(list(Path("s/emitted").iterdir())) == 1


def test_what_is_wrong_is_said(robdsl: Run) -> None:
    Path("tiny_space.rob").write_text(SPACE, encoding="utf-8")
    for arguments, status, said in (
        (("--data", "digits"), 2, "name the space"),
        (("--space", "cell-fre"), 1, "cell_free"),
        (("--space", "cell-based-imagenet"), 1, "other images"),
        (("--space", "tiny_space.rob", "--filter", "worst"), 2, "quantile:SHARE"),
        (("--space", "tiny_space.rob", "--sampler", "guess"), 2, "sampler must be one of"),
        (("--space", "tiny_space.rob", "--stage", "dance"), 2, "dance"),
        (("--space", "tiny_space.rob", "--storage", "mysql://x"), 1, "no storage"),
        (("status", "nowhere"), 1, "is no study"),
        (("worker", "nowhere"), 1, "is no study"),
        (("--space", "cell-free", "--eps", "8"), 2, "not 8 wide"),
        (("export", "nowhere", "-o", "bank.csv"), 2, "parquet"),
    ):
        done = robdsl("search", *arguments)
        assert done.status == status and said in done.out + done.err, (arguments, done)
        assert "Traceback" not in done.err


def test_a_plan_is_measured(robdsl: Run) -> None:
    Path("tiny_space.rob").write_text(SPACE, encoding="utf-8")
    done = robdsl(
        "search", "--space", "tiny_space.rob", "--plan", "--trials", 100, "--finetune", 10, "--steps", 1, "--device", "cpu",
        "--supernet-batch", 8, "--batch", 8, "--eval-batch", 8, "--attack", "pgd2", "--supernet-epochs", 7, "--json",
    )  # fmt: skip
    assert done.status == 0, done.err
    plan = json.loads(done.out)
    rates = plan["images_per_second"]
    assert all(rate > 0 for rate in rates.values())
    assert plan["seconds"]["supernet"] == pytest.approx(7 * plan["images"] / rates["supernet"])
    assert plan["seconds"]["evaluate"] == pytest.approx(10 * plan["held"] / rates["evaluate"])
    assert plan["total"] == pytest.approx(sum(plan["seconds"].values()))
    assert not list(Path().glob("runs")), "nothing is searched"
