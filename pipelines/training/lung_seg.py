"""Trains the lung model: `python -m pipelines.training.lung_seg --data CACHE --out weights.safetensors`.

The same data, seed and steps give the same training on the same machine. `--hold-out PATIENT` leaves all scans of one
patient out, for figures on somebody unseen.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from monai.losses import DiceLoss
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import save_file
from torch import Generator, Tensor, nn
from torch.nn import functional

from pipelines.lung_seg.network import make_network, to_input, weigh_density
from pipelines.training.lung_augment import Dice, Subject, make_patch, trim
from pipelines.training.lung_cases import LABEL_MM, Case, load_cases

RATE = 4e-3
AVERAGE = 0.98
"""The shipped weights are a moving average over about the last 50 steps: calmer than the last step alone."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line, trains, writes the weights."""
    parser = argparse.ArgumentParser(description="Train the lung model")
    parser.add_argument("--data", type=Path, required=True, help="folder of NAME.npz from workers.training_data")
    parser.add_argument("--out", type=Path, required=True, help="weights.safetensors to write")
    parser.add_argument("--hold-out", help="patient whose scans are left out")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    cases = load_cases(options.data)
    chosen = [case for case in cases if case.patient != options.hold_out]
    if options.hold_out and len(chosen) == len(cases):
        raise SystemExit(f"no scan of patient {options.hold_out!r}; there are {sorted({c.patient for c in cases})}")
    network = train(chosen, options.steps, options.seed, options.device)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, options.out)


def train(cases: Sequence[Case], steps: int, seed: int = 0, device: str = "cpu") -> nn.Module:
    """A network trained on `cases` for `steps` patches, each patient equally often; returned on the CPU."""
    torch.manual_seed(seed)
    dice = Dice(Generator().manual_seed(seed))
    subjects = _group(cases)
    network, average = make_network().to(device).train(), make_network().to(device)
    average.load_state_dict(network.state_dict())
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.15)
    with _show_progress() as progress:
        bar, smoothed = progress.add_task("training", total=steps, loss=float("nan")), 1.0
        for step in range(steps):
            patients = subjects[step % len(subjects)]
            hu, lungs = trim(*make_patch(patients[dice.integer(0, len(patients) - 1)], dice))
            if hu.isnan().all():
                continue
            shown = to_input(hu)[None].to(device)
            logits = weigh_density(network(shown), hu.to(device))
            loss = _loss(logits, lungs[None, None].float().to(device), shown[:, 1:])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            _follow(average, network, min(AVERAGE, step / (step + 10)))
            smoothed += 0.03 * (float(loss.detach()) - smoothed)
            progress.update(bar, advance=1, loss=smoothed)
            if (step + 1) % max(1, steps // 10) == 0:
                progress.console.print(f"step {step + 1}: loss {smoothed:.4f}")
    return average.cpu().eval()


def _group(cases: Sequence[Case]) -> list[list[Subject]]:
    """The cases as subjects, one list a patient."""
    groups: dict[str, list[Subject]] = {}
    for case in cases:
        hu, lungs, body = (torch.from_numpy(array) for array in (case.hu, case.lungs, case.body))
        groups.setdefault(case.patient, []).append(Subject(hu, lungs, body, LABEL_MM))
    return [groups[patient] for patient in sorted(groups)]


def _loss(logits: Tensor, lungs: Tensor, known: Tensor) -> Tensor:
    """Cross entropy plus Dice where something is known. A patch without lungs is judged by cross entropy alone: its
    Dice says nothing."""
    entropy = functional.binary_cross_entropy_with_logits(logits, lungs, known, reduction="sum") / known.sum()
    if not bool(lungs.any()):
        return entropy
    overlap: Tensor = DiceLoss(smooth_nr=1.0, smooth_dr=1.0)(torch.sigmoid(logits) * known, lungs)
    return entropy + overlap


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, keep: float) -> None:
    for mean, value in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(value, 1.0 - keep)


def _show_progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]:.4f}"),
        TimeRemainingColumn(),
    )  # fmt: skip


if __name__ == "__main__":
    main()
