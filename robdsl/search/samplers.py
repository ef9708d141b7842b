"""What a study tries next.

Random and budget proposals are a pure function of the study's seed and the trial's number, whoever makes them. The
others look at what was found: Optuna's NSGA-II and TPE through ask and tell, and a regression on alpha (`Predictor`).
They ask for one architecture at a time, over a copy of the finished trials in memory, so that the storage sees a trial
whole or not at all, and no state of a sampler is kept anywhere but in the trials.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from robdsl.data import derive_seed
from robdsl.diagnostics.diagnostic import RobError
from robdsl.graph.choices import Pick
from robdsl.graph.net import Net, Space
from robdsl.graph.operations import Choice
from robdsl.search.budgets import within_budget
from robdsl.search.errors import SearchError
from robdsl.search.predictor import Predictor
from robdsl.search.settings import Settings

#: How often a sampler that knows results may propose what breaks a rule or is known, before chance has its turn.
_ATTEMPTS = 20

#: Of how many alternatives of an edge every subset may be a value of one parameter.
_MOST_ALTERNATIVES = 8


@dataclass(frozen=True)
class Proposal:
    """An architecture to try.

    Attributes:
        net: in the space of the study.
        params: Optuna's parameters for it; empty where the sampler has no use for them.
        system: what Optuna's sampler wants to remember of the trial.
    """

    net: Net
    params: Mapping[str, str] = field(default_factory=dict)
    system: Mapping[str, Any] = field(default_factory=dict)


class Sampler(Protocol):
    """Proposes architectures."""

    def propose(self, number: int, trials: Sequence[FrozenTrial]) -> Proposal:
        """What trial ``number`` shall be, given all trials so far (of which only samplers that look need any)."""
        ...


def make_sampler(settings: Settings, space: Space) -> Sampler:
    """The sampler that the settings ask for.

    Raises:
        SearchError: the space has no such budget.
    """
    narrowed = space
    if settings.budget is not None:
        narrowed = within_budget(space, settings.budget, settings.operation)
    chance = Chance(space, narrowed, settings.seed)
    if settings.sampler in ("random", "budget"):
        return chance
    if settings.sampler == "predictor":
        return Guided(chance, settings.seed)
    return Asked(settings, space, narrowed, chance)


@dataclass(frozen=True)
class Chance:
    """Uniform over the narrowed space, exactly; trial k of a seed is always the same net."""

    space: Space
    narrowed: Space
    seed: int

    def propose(self, number: int, trials: Sequence[FrozenTrial] = ()) -> Proposal:
        """See `Sampler`."""
        return Proposal(self.drawn(number))

    def drawn(self, number: int, *purpose: str | int) -> Net:
        """The net that a number and a purpose stand for."""
        drawn = self.narrowed.sample(random.Random(derive_seed(self.seed, "trial", number, *purpose)))
        return self.space.choose(drawn.choices)

    def unknown(self, number: int, known: set[str]) -> Net:
        """A net that is none of the known ones, by hash."""
        for attempt in range(50 * _ATTEMPTS):
            net = self.drawn(number, "unknown", attempt)
            if net.hash not in known:
                return net
        raise SearchError(
            f"{len(known)} architectures are known, and chance finds no other in {self.narrowed.name}"
        )


@dataclass(frozen=True)
class Guided:
    """The best of many random nets, as a regression on the finished trials sees them."""

    chance: Chance
    seed: int
    startup: int = 10
    candidates: int = 200

    def propose(self, number: int, trials: Sequence[FrozenTrial]) -> Proposal:
        """See `Sampler`."""
        known = hashes(trials)
        done = [each for each in trials if each.state is TrialState.COMPLETE]
        if len(done) < self.startup:
            return Proposal(self.chance.unknown(number, known))
        predictor = Predictor(derive_seed(self.seed, "predictor", number) % 2**32)
        predictor.fit([each.user_attrs["alpha"] for each in done], [each.values[0] for each in done])
        nets = [self.chance.drawn(number, "candidate", index) for index in range(self.candidates)]
        hopes = predictor.hopes([net.alpha for net in nets])
        for index in sorted(range(len(nets)), key=lambda index: (-hopes[index], index)):
            if nets[index].hash not in known:
                return Proposal(nets[index])
        return Proposal(self.chance.unknown(number, known))


@dataclass(frozen=True)
class Asked:
    """Optuna's NSGA-II or TPE."""

    settings: Settings
    space: Space
    narrowed: Space
    chance: Chance

    def propose(self, number: int, trials: Sequence[FrozenTrial]) -> Proposal:
        """See `Sampler`."""
        known = hashes(trials)
        distributions = distributions_of(self.space)
        system: Mapping[str, Any] = {}
        for attempt in range(_ATTEMPTS):
            asked = self._ask(
                derive_seed(self.settings.seed, "ask", number, attempt) % 2**32, trials, distributions
            )
            system = asked.system_attrs
            try:
                net = self.narrowed.choose(choices_of(self.space, asked.params))
            except RobError:
                continue  # a rule of the space or of the budget is broken
            if net.hash not in known:
                return Proposal(self.space.choose(net.choices), dict(asked.params), dict(system))
        net = self.chance.unknown(number, known)
        return Proposal(net, params_of(self.space, net.choices), dict(system))

    def _ask(
        self, seed: int, trials: Sequence[FrozenTrial], distributions: Mapping[str, CategoricalDistribution]
    ) -> FrozenTrial:
        sampler: optuna.samplers.BaseSampler
        if self.settings.sampler == "tpe":
            sampler = optuna.samplers.TPESampler(seed=seed)
        else:
            sampler = optuna.samplers.NSGAIISampler(seed=seed, population_size=20)
        study = optuna.create_study(
            directions=[optuna.study.StudyDirection[each.upper()] for each in self.settings.directions],
            sampler=sampler,
        )
        study.add_trials([each for each in trials if each.params and each.state is TrialState.COMPLETE])
        study.ask(dict(distributions))
        return study.get_trials(deepcopy=False)[-1]


def hashes(trials: Sequence[FrozenTrial]) -> set[str]:
    """The hashes of the trials' nets."""
    return {each.user_attrs["hash"] for each in trials if "hash" in each.user_attrs}


# --- choices as Optuna's parameters


def distributions_of(space: Space) -> dict[str, CategoricalDistribution]:
    """A parameter for each open edge: which of its closings is taken, as in alpha."""
    return {name: CategoricalDistribution(closings(pick, place)) for name, pick, place in _places(space)}


def params_of(space: Space, choices: Sequence[Choice]) -> dict[str, str]:
    """The parameters that stand for choices."""
    chosen = [each for choice in choices for each in choice]
    return {
        name: _closing(pick, place, chosen[index]) for index, (name, pick, place) in enumerate(_places(space))
    }


def choices_of(space: Space, params: Mapping[str, str]) -> tuple[Choice, ...]:
    """The choices that parameters stand for."""
    read = iter([_chosen(pick, place, params[name]) for name, pick, place in _places(space)])
    return tuple(tuple(next(read) for _ in pick.opens) for pick in space.picks)


def closings(pick: Pick, place: int) -> list[str]:
    """The codes that an open edge may have."""
    edge = pick.opens[place]
    if edge.kind == "one":
        return [str(index) for index in range(len(edge.names))]
    if len(edge.names) > _MOST_ALTERNATIVES:
        raise SearchError(
            f"{pick.cell} offers {len(edge.names)} alternatives on one edge, whose subsets are too many for this sampler: "
            "take random or predictor"
        )
    return [format(code, f"0{len(edge.names)}b") for code in range(2 ** len(edge.names))]


def _places(space: Space) -> list[tuple[str, Pick, int]]:
    return [
        (f"{pick.name}.{place}.{edge.source}_{edge.target}", pick, place)
        for pick in space.picks
        for place, edge in enumerate(pick.opens)
    ]


def _closing(pick: Pick, place: int, chosen: tuple[int, ...]) -> str:
    edge = pick.opens[place]
    if edge.kind == "one":
        return str(chosen[0])
    return "".join("1" if index in chosen else "0" for index in range(len(edge.names)))


def _chosen(pick: Pick, place: int, code: str) -> tuple[int, ...]:
    if pick.opens[place].kind == "one":
        return (int(code),)
    return tuple(index for index, bit in enumerate(code) if bit == "1")


# --- proposals as trials


def facts_of(net: Net, settings: Settings) -> dict[str, Any]:
    """What is known of an architecture before anything is run."""
    density = net.stats().density
    return {
        "space": settings.space,
        "parameters": json.dumps(dict(settings.parameters), sort_keys=True),
        "alpha": net.alpha,
        "hash": net.hash,
        "params": net.cost.params,
        "macs": net.cost.macs,
        "density": 0.0 if density is None else density,
        "sampler": settings.sampler,
        "seed": settings.seed,
        "state": "sampled",
    }


def template(proposal: Proposal, facts: Mapping[str, Any], space: Space) -> FrozenTrial:
    """The trial that stands for a proposal, waiting to be worked on."""
    distributions = distributions_of(space) if proposal.params else {}
    trial = create_trial(
        state=TrialState.WAITING,
        params=dict(proposal.params),
        distributions=dict(distributions),
        user_attrs=dict(facts),
        system_attrs=dict(proposal.system),
    )
    trial.datetime_start = datetime.now()
    return trial
