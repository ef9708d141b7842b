"""What PGD costs beyond its own passes, and PGD and AutoAttack in images per second against other libraries.

    python -m benchmarks.bench_attacks                       the small net, one minute on two cores
    python -m benchmarks.bench_attacks --net robnet_free --batch 8 --rounds 3 --no-autoattack
                                                             the net of the paper
    python -m benchmarks.bench_attacks --write               keep the result in benchmarks/results/

Everything compared is run in turn, round after round in one process, on the same model object and batch;
figures are medians over rounds, and of ratios the median of each round's ratio. Other libraries are called as
their documentation does, not through our backends, which spare them the gradients of the weights. AutoAttack
is made of the same attacks with the same steps and queries in each library, as far as it has them: ART has
neither targeted APGD nor FAB, foolbox has none of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

# glibc gives freed memory back to the system, and page faults then drown what is measured. It reads these at
# start.
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "1073741824"}
if __name__ == "__main__" and any(name not in os.environ for name in _MALLOC):
    os.execve(  # noqa: S606 - this program again, with two settings of the allocator
        sys.executable,
        [sys.executable, "-m", "benchmarks.bench_attacks", *sys.argv[1:]],
        os.environ | _MALLOC,
    )

import torch  # noqa: E402 - after the allocator's settings
import torch.nn.functional as F  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from robdsl.attacks import AutoAttack, pgd, undisturbed  # noqa: E402

EPS, STEP = 8 / 255, 2 / 255
TRAINING_EPS = (
    0.1  # of the net for AutoAttack: well above what it is attacked with, so that most images withstand it
)
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    torch.manual_seed(0)
    images, labels = _digits(options.batch, device)
    model = _model(options.net, device)
    print(f"{options.net} on {_machine(device)}, batch {options.batch}, PGD-{options.steps}, channels-last\n")
    record = {
        "command": "python -m benchmarks.bench_attacks " + " ".join(sys.argv[1:]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": _machine(device),
        "threads": options.threads,
        "versions": {
            name: version(name)
            for name in ("torch", "torchattacks", "foolbox", "adversarial-robustness-toolbox")
        },
        "net": options.net,
        "batch": options.batch,
        "steps": options.steps,
        "rounds": options.rounds,
        "pgd_over_own_passes": _overhead(model, images, labels, options.steps, options.rounds),
        "pgd": _compare_pgd(model, images, labels, options.steps, options.rounds),
    }
    if not options.no_autoattack:
        record["auto_steps"], record["queries"] = options.auto_steps, options.queries
        record["autoattack"] = _compare_autoattack(
            device, options.auto_steps, options.queries, options.rounds
        )
    if options.write:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"attacks_{options.net}_{device.type}.json"
        partial = path.with_suffix(".tmp")
        partial.write_text(json.dumps(record, indent=2) + "\n")
        partial.replace(path)
        print(f"\nwritten to {path}")


def _overhead(model: nn.Module, images: Tensor, labels: Tensor, steps: int, rounds: int) -> dict[str, float]:
    """PGD in units of its own forward and backward passes, and what the weights' gradient flags cost."""

    def passes() -> None:
        x = images.clone()
        for _ in range(steps):
            x.requires_grad_(True)
            loss = F.cross_entropy(model(x), labels, reduction="sum")
            torch.autograd.grad(loss, x)
            x.requires_grad_(False)

    def own_passes() -> None:
        with undisturbed(model):
            passes()

    def attack() -> None:
        pgd(model, images, labels, eps=EPS, step_size=STEP, steps=steps)

    times = _interleave({"own passes": own_passes, "pgd": attack, "flags on": passes}, rounds, images.device)
    ratio = statistics.median(a / b for a, b in zip(times["pgd"], times["own passes"], strict=True))
    flags = statistics.median(a / b for a, b in zip(times["flags on"], times["own passes"], strict=True))
    milliseconds = 1e3 * statistics.median(times["own passes"]) / steps
    print(f"forward and backward pass      {milliseconds:9.2f} ms")
    print(f"PGD over its own passes        {ratio:9.3f}   (the goal: at most 1.03)")
    print(f"passes with weights' flags on  {flags:9.3f}\n")
    return {"ratio": ratio, "flags_on_ratio": flags, "pass_ms": milliseconds}


def _compare_pgd(
    model: nn.Module, images: Tensor, labels: Tensor, steps: int, rounds: int
) -> dict[str, dict[str, float]]:
    torchattacks: Any = import_module("torchattacks")
    foolbox: Any = import_module("foolbox")
    art_attack = _art_pgd(model, images, steps)
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device=images.device)
    foolbox_attack = foolbox.attacks.LinfProjectedGradientDescentAttack(abs_stepsize=STEP, steps=steps)
    ta_attack = torchattacks.PGD(model, eps=EPS, alpha=STEP, steps=steps)
    numpy_images, numpy_labels = images.cpu().numpy(), labels.cpu().numpy()
    times = _interleave(
        {
            "robdsl": lambda: pgd(model, images, labels, eps=EPS, step_size=STEP, steps=steps),
            "torchattacks": lambda: ta_attack(images, labels),
            "foolbox": lambda: foolbox_attack(wrapped, images, labels, epsilons=EPS),
            "art": lambda: art_attack.generate(x=numpy_images, y=numpy_labels),
        },
        rounds,
        images.device,
    )
    model.zero_grad()  # foolbox and ART leave gradients in the weights
    return _table(f"PGD-{steps}", times, len(images))


def _compare_autoattack(
    device: torch.device, steps: int, queries: int, rounds: int
) -> dict[str, dict[str, float]]:
    """On a net that was trained to withstand it, so that there is work to do; channels first."""
    # torchattacks' FAB cannot reshape gradients with channels last.
    model = _trained(device).to(memory_format=torch.contiguous_format)
    images, labels = _digits(32, device)
    images = images.contiguous()
    torchattacks: Any = import_module("torchattacks")
    common: dict[str, Any] = {"eps": EPS, "norm": "Linf"}
    theirs = torchattacks.MultiAttack(
        [
            torchattacks.APGD(model, loss="ce", steps=steps, **common),
            torchattacks.APGDT(model, steps=steps, n_classes=10, **common),
            torchattacks.FAB(model, steps=steps, multi_targeted=True, n_classes=10, **common),
            torchattacks.Square(model, n_queries=queries, **common),
        ]
    )
    ours = AutoAttack(eps=EPS, steps=steps, queries=queries)
    art_attacks = _art_autoattack(model, images, steps, queries)
    survivors: dict[str, float] = {}

    def run(name: str, attack: Callable[[], Tensor]) -> Callable[[], None]:
        def timed() -> None:
            made = attack()
            with torch.no_grad():
                survivors[name] = float((model(made).argmax(1) == labels).float().mean())

        return timed

    times = _interleave(
        {
            "robdsl": run("robdsl", lambda: ours.perturb(model, images, labels)),
            "torchattacks": run("torchattacks", lambda: theirs(images, labels)),
            "art": run("art", lambda: _run_art(art_attacks, model, images, labels)),
        },
        max(rounds // 3, 1),
        device,
    )
    table = _table(f"AutoAttack, {steps} steps, {queries} queries", times, len(images))
    for name, accuracy in survivors.items():
        table[name]["robust_accuracy"] = accuracy
        print(f"  robust accuracy after {name:13} {accuracy:6.3f}")
    return table


def _art_classifier(model: nn.Module, images: Tensor) -> Any:
    classification: Any = import_module("art.estimators.classification")
    return classification.PyTorchClassifier(
        model=model,
        loss=nn.CrossEntropyLoss(),
        input_shape=tuple(images.shape[1:]),
        nb_classes=10,
        clip_values=(0.0, 1.0),
        device_type="gpu" if images.device.type == "cuda" else "cpu",
    )


def _art_pgd(model: nn.Module, images: Tensor, steps: int) -> Any:
    evasion: Any = import_module("art.attacks.evasion")
    return evasion.ProjectedGradientDescent(
        _art_classifier(model, images),
        eps=EPS,
        eps_step=STEP,
        max_iter=steps,
        num_random_init=1,
        batch_size=len(images),
        verbose=False,
    )


def _art_autoattack(model: nn.Module, images: Tensor, steps: int, queries: int) -> list[Any]:
    """The attacks of ART's AutoAttack; its class itself wants a package that ART does not install."""
    evasion: Any = import_module("art.attacks.evasion")
    common: dict[str, Any] = {"eps": EPS, "batch_size": len(images), "verbose": False}
    classifier = _art_classifier(model, images)
    auto = evasion.AutoProjectedGradientDescent
    step: dict[str, Any] = {"eps_step": 2 * EPS, "max_iter": steps, "nb_random_init": 1}
    return [
        auto(classifier, loss_type="cross_entropy", **step, **common),
        auto(classifier, loss_type="difference_logits_ratio", **step, **common),
        evasion.SquareAttack(classifier, max_iter=queries, **common),
    ]


def _run_art(attacks: list[Any], model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    made = images.clone()
    left = torch.arange(len(images), device=images.device)
    for attack in attacks:
        tried = attack.generate(x=images[left].cpu().numpy(), y=labels[left].cpu().numpy())
        made[left] = torch.from_numpy(tried).to(made)
        with torch.no_grad():
            left = left[model(made[left]).argmax(1) == labels[left]]
    return made


def _interleave(
    programs: dict[str, Callable[[], Any]], rounds: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of each program in each round; a first round warms up and is not counted.

    Every other round goes backwards, so that none profits from what always runs before it.
    """
    times: dict[str, list[float]] = {name: [] for name in programs}
    for round_ in range(rounds + 1):
        for name, program in list(programs.items())[:: -1 if round_ % 2 else 1]:
            _wait(device)
            started = time.perf_counter()
            program()
            _wait(device)
            if round_:
                times[name].append(time.perf_counter() - started)
    return times


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _table(title: str, times: dict[str, list[float]], images: int) -> dict[str, dict[str, float]]:
    print(f"{title:42} images/s   time to ours")
    rows = {}
    for name, seconds in times.items():
        speed = images / statistics.median(seconds)
        ratio = statistics.median(a / b for a, b in zip(seconds, times["robdsl"], strict=True))
        rows[name] = {"images_per_second": speed, "time_to_robdsl": ratio}
        print(f"  {name:40} {speed:8.2f}   {ratio:8.2f}")
    return rows


def _digits(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Handwritten digits as (N, 3, 32, 32) in [0, 1], channels-last."""
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1).expand(-1, 3, -1, -1) / 16
    images = F.interpolate(images, size=32, mode="bilinear")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:count]
    chosen = images[order].to(device).contiguous(memory_format=torch.channels_last)
    return chosen, torch.tensor(data.target)[order].to(device)


def _small() -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after, stride in ((3, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1)):
        layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def _model(name: str, device: torch.device) -> nn.Module:
    if name == "small":
        model: nn.Module = _small()
    else:
        import robdsl

        model = robdsl.compile(robdsl.load(name))
    model = model.to(device).eval()
    return model.to(memory_format=torch.channels_last)


def _trained(device: torch.device) -> nn.Module:
    model = _model("small", device).train()
    images, labels = _digits(1400, device)
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    for _ in range(8):
        for chosen in torch.randperm(len(images)).split(100):
            x, y = images[chosen.to(device)], labels[chosen.to(device)]
            x = pgd(model, x, y, eps=TRAINING_EPS, step_size=TRAINING_EPS / 2, steps=3, mode="train")
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model.eval()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--net", default="small", help="small, or the name of a built-in net such as robnet_free"
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10, help="of PGD")
    parser.add_argument("--auto-steps", type=int, default=10, help="of AutoAttack's gradient attacks")
    parser.add_argument("--queries", type=int, default=50, help="of AutoAttack's Square")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--no-autoattack", action="store_true", help="leave AutoAttack out")
    parser.add_argument("--write", action="store_true", help="write the figures to benchmarks/results/")
    return parser.parse_args()


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    names = [
        line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line
    ]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


if __name__ == "__main__":
    main()
