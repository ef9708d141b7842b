"""Under torchrun the processes train one supernet, and leave trials to workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from robdsl.search import SearchError, open_study
from tests.search.small import begin, work
from tests.training.processes import run_together


def test_two_processes_train_one_supernet(tmp_path: Path) -> None:
    begin(tmp_path / "s", 2).close()
    run_together(2, train_together, tmp_path / "s")
    with open_study(tmp_path / "s", read_only=False) as study:
        assert study.attributes()["supernet"]["seconds"] > 0 and study.leases.held() == {}
        work(study)  # its weights are those that the study knows
        assert all(each.state == "evaluated" for each in study.trials())


def train_together(folder: Path) -> None:
    with open_study(folder, read_only=False) as study:
        work(study, ("supernet",))
        work(study, ("supernet",))  # nothing is left to do
        with pytest.raises(SearchError, match="only the supernet"):
            work(study, ("sample",))
