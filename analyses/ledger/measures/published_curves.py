"""What the published curves themselves show, read with our own rules. Nothing is trained."""

from pathlib import Path

import numpy as np
import torch
import xarray as xr

from analyses.ledger.targets import target
from analyses.statistics.curves import Outcome, is_flat, outcome, sustained_crossing
from grokinterp import DataConfig, make_dataset
from grokinterp.losses import mse, mse_softmax

_PERCENTS = tuple(range(20, 31))


def figure_9(*, seeds: int, work: Path) -> xr.Dataset:
    """The eleven curves of Fig. 9 under a rule for runs that have not ended, over "percent".

    ``flat``: 1 if accuracy changes by less than 2 points over the last 30 % of the steps;
    ``semi_grokked``: 1 if the run counts as such, given the time that the next larger fraction
    needs. ``count`` of these, and ``unfinished``, those that look half-way and are not flat or not
    long enough.
    """
    del seeds, work
    curves = {percent: _curve(f"p2.fig9.pct{percent}.curve") for percent in _PERCENTS}
    times = {percent: sustained_crossing(*curve, 0.9) for percent, curve in curves.items()}
    ends, flat = [], []
    for percent, curve in curves.items():
        later = [times[p] for p in _PERCENTS if p > percent and np.isfinite(times[p])]
        ends.append(str(outcome(*curve, next_time=later[0] if later else None)))
        flat.append(float(is_flat(*curve)))
    semi = [float(end == Outcome.SEMI_GROKKED) for end in ends]
    unfinished = [float(end == Outcome.UNFINISHED) for end in ends]
    return xr.Dataset(
        {
            "flat": ("percent", flat),
            "semi_grokked": ("percent", semi),
            "unfinished": ("percent", unfinished),
            "count": float(sum(semi)),
            "count_unfinished": float(sum(unfinished)),
        },
        coords={"percent": list(_PERCENTS)},
    )


def figures_1_to_8(*, seeds: int, work: Path) -> xr.Dataset:
    """Numbers that contradict each other in the paper's own figures.

    ``mlp_delay``: its 99 % step in validation over that in training. ``lstm_train`` (fraction): the
    LSTM's steps to 99 % train accuracy; ``lstm_train_fall``, from 50 to 70 %. ``moved``: range of
    the 50 % points of Fig. 8 over weight decay, in percent of the pairs; ``transformer_at_3``:
    accuracy of the transformer after training on with 3 % of the pairs. ``d_crit_ratio``: the
    smallest fraction at which Fig. 9 is middling over the 50 % point of Fig. 7. ``tandem``:
    validation loss over its start, when train loss is .3 % of its own, at 1:1. ``loss_at_51``:
    train loss at 10:1, step 51. ``logit_ratio``: median logit of C_mem at 90 % over that at 60 %.
    ``lowest_after``: the transformer's lowest validation accuracy after 99 %, at 50 and 70 %, the
    lower. ``val_at_memorised``: its validation accuracy when it first has 99 % of the training set,
    at 50 %. ``lstm_30_end``: the LSTM's last accuracy at 30 %. ``same_run``: median difference of
    Fig. 9 at 30 % and Fig. 2, in points at common steps.
    """
    del seeds, work

    def number(name: str) -> float:
        return float(target(name)["value"])

    points = [number(f"p2.fig8.mlp.wd{decay}.pct_at_val50") for decay in ("0.01", "0.1", "1")]
    fig7 = target("p2.fig7.transformer.curve")["value"]
    at_three = dict(zip(fig7["x"], fig7["y"], strict=True))[3]
    logits = target("p2.fig6.mem.curve.median_logit")["value"]["y"]
    loss = target("p2.fig5.10-1.curve.train_loss")["value"]
    start = number("p2.fig5.zero_output_mse")
    lstm = [
        number(f"p2.fig{figure}.lstm-{percent}.train.step_ge_99")
        for figure, percent in ((3, 30), (1, 50), (3, 70))
    ]
    return xr.Dataset(
        {
            "mlp_delay": number("p2.fig1.mlp-50.val.step_ge_99")
            / number("p2.fig1.mlp-50.train.step_ge_99"),
            "lstm_train": ("fraction", lstm),
            "lstm_train_fall": lstm[1] - lstm[2],
            "moved": max(points) - min(points),
            "transformer_at_3": float(at_three),
            "d_crit_ratio": 23 / number("p2.fig7.transformer.pct_at_val50"),
            "tandem": number("p2.fig5.1-1.val_loss_at_train_1e-5") / start,
            "loss_at_51": float(np.interp(51, loss["x"], loss["y"])),
            "logit_ratio": logits[-1] / logits[3],
            "lowest_after": min(
                number("p2.fig2.transformer-70.collapse_after_grokking"),
                number("p2.fig1.transformer-50.collapse_after_grokking"),
            ),
            "val_at_memorised": number("p2.fig1.transformer-50.val_at_train99"),
            "lstm_30_end": number("p2.fig3.lstm-30.final.val_acc"),
            "same_run": _difference(),
        },
        coords={"fraction": [0.3, 0.5, 0.7]},
    )


def printed_loss(*, seeds: int, work: Path) -> xr.Dataset:
    """The squared error on the softmax as the paper prints it, of a right and of a wrong answer.

    ``printed_right`` minus ``printed_wrong``: positive if minimising the printed formula, with its
    leading minus, prefers the wrong answer. ``zero_output``: the code's loss (mean over 239
    classes) of an all-zero output of probabilities. ``leak``: share of the mixture's validation
    pairs that C_gen was trained on.
    """
    del seeds, work
    logits = torch.full((2, 97), -40.0, dtype=torch.float64)
    logits[0, 3], logits[1, 4] = 40.0, 40.0
    right, wrong = (-97 * mse_softmax(logits, torch.tensor([3, 3]))).tolist()
    small, large = (make_dataset(DataConfig(train_fraction=share)) for share in (0.2, 0.9))
    unseen_by_mem = small.is_test
    return xr.Dataset(
        {
            "printed_gain": wrong - right,
            "zero_output": float(mse(torch.zeros(1, 239), torch.tensor([0]))),
            "leak": float((large.is_train & unseen_by_mem).sum() / unseen_by_mem.sum()),
        }
    )


def _curve(name: str) -> tuple[np.ndarray, np.ndarray]:
    value = target(name)["value"]
    return np.asarray(value["x"], dtype=float), np.asarray(value["y"], dtype=float) / 100


def _difference() -> float:
    x, y = _curve("p2.fig9.pct30.curve")
    steps, values = _curve("p2.fig2.transformer-30.curve.val_acc")
    return float(100 * np.median(np.abs(np.interp(steps, x, y) - values)))
