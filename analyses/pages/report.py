"""One self-contained HTML page about a run: its main numbers, and figures with captions."""

import os
from typing import Any

import xarray as xr

from analyses.one_run import grokking, ipr_histogram, pruning, training_curves, weight_norms
from analyses.one_run.ipr_histogram import IPR_GENERALISES_ABOVE, IPR_MEMORISES_BELOW
from analyses.one_run.summary import READ_AT, in_words, summarise, table_rows
from analyses.pages.page import Section, write_page
from analyses.statistics.thresholds import GENERALISED_FROM
from grokinterp import Run
from grokinterp.data import SUBSETS


def write_report(run: Run, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Write the page and return the run's summary (:func:`analyses.one_run.summary.summarise`)."""
    pruned = pruning.compute(run)
    summary = summarise(run, pruned)
    task = summary["task"]
    ending = "" if run.ended else f" ({run.ending})"
    write_page(
        path,
        heading=f"{task['operation']} mod {task['p']}, {task['corruption']:.0%} of the training "
        f"labels redrawn: {summary['phase']}{ending}",
        intro=f"{task['train_fraction']:.0%} of the {task['p'] ** 2} pairs train; "
        f"{task['changed_labels']} of their labels are wrong. Figure numbers are those of Doshi "
        "et al., arXiv:2310.13061.",
        rows=table_rows(summary),
        sections=sections(run, pruned, summary),
    )
    return summary


def sections(run: Run, pruned: xr.Dataset, summary: dict[str, Any]) -> list[Section]:
    """All figures of a run with their captions."""
    curves = training_curves.compute(run)
    grown = grokking.compute(run)
    neurons = ipr_histogram.compute(run)
    norms = weight_norms.compute(run)
    low, high = summary["pruning_by_ipr"]["low"], summary["pruning_by_ipr"]["high"]
    return [
        Section(
            training_curves.plot_accuracy(curves, title="Training curves (as Fig. 1)"),
            _about_curves(curves, summary),
        ),
        Section(
            grokking.plot_over_time(grown, title="Accuracy and IPR while training (as Fig. 2a)"),
            "The mean IPR is small for random weights and grows as neurons become periodic"
            + (f"; it ends at {ipr:.3f}." if (ipr := summary["mean_ipr"]) is not None else "."),
        ),
        Section(
            grokking.plot_row(grown, title="One neuron's weights, before and after (as Fig. 2b)"),
            f"After training, the weights of neuron {grown.attrs['neuron']} from the first operand "
            f"have mainly frequency {grown.attrs['frequency']} (cycles per {summary['task']['p']} "
            "residues); before, they were noise.",
        ),
        Section(
            ipr_histogram.plot_histogram(neurons, title="How periodic are neurons? (as Fig. 4)"),
            _about_neurons(summary),
        ),
        Section(
            pruning.plot_pruning(pruned, title="Removing neurons by IPR (as Figs. 6 and 17)"),
            f"Without the {low['fraction']:.0%} of lowest IPR, the accuracy is "
            f"{in_words(low) or 'not defined'}; without the {high['fraction']:.0%} of highest IPR, "
            f"{in_words(high) or 'not defined'}.",
        ),
        Section(
            pruning.plot_pruning(
                pruned, quantity="loss", title="The same removals: loss (as Fig. 18)"
            ),
            "Neurons of low IPR cancel small errors in the periodic neurons' logits. This affects "
            "the loss and not the accuracy, so the test loss may rise where the test accuracy "
            "rises.",
        ),
        Section(pruning.plot_controls(pruned), _about_controls(pruned)),
        Section(
            weight_norms.plot_norms(norms, title="Weight norms (as Fig. 8b)"),
            f"The norm of all weights ends at {norms.attrs['final']:.2f}, "
            f"{norms.attrs['final'] / norms.attrs['largest']:.0%} of its largest value. Below 1 % "
            "the network has collapsed, as under strong weight decay after grokking.",
        ),
    ]


def _about_curves(curves: xr.Dataset, summary: dict[str, Any]) -> str:
    accuracy = summary["accuracy"]
    level = GENERALISED_FROM
    learned = curves.accuracy.sel(subset="test") >= level
    when = (
        f"Test accuracy first reaches {level} at step {int(curves.step[learned.argmax('step')])}"
        if bool(learned.any())
        else f"Test accuracy never reaches {level}"
    )
    if summary["task"]["changed_labels"] == 0:
        return f"{when}; no label was corrupted. The run ends in {summary['phase']}."
    return (
        f"{when}. At the end the network is right on {accuracy['test']:.1%} of the test set and "
        f"answers {accuracy['changed']:.1%} of the corrupted training pairs with their wrong "
        f"label: {summary['phase']}."
    )


def _about_neurons(summary: dict[str, Any]) -> str:
    total, low, between, high, dead = summary["neurons"].values()
    text = (
        f"{low} of {total} neurons have an IPR below {IPR_MEMORISES_BELOW}, like noise; {high} "
        f"have one above {IPR_GENERALISES_ABOVE}, close to a single frequency; {between} lie "
        "between"
    )
    return text + (f", and {dead} are dead and have no IPR." if dead else ".")


def _about_controls(pruned: xr.Dataset) -> str:
    middle = pruned.sizes["removed"] * 3 // 5
    chance = pruned.isel(curve=pruned.order.values == "random", removed=middle).accuracy
    mean = {subset: float(chance.sel(subset=subset).mean()) for subset in SUBSETS}
    return (
        f"After removing {READ_AT['low']:.0%} of the neurons at random, the accuracy is "
        f"{in_words(mean) or 'not defined'} (mean of {chance.sizes['curve']} orders). In the other "
        "curves the order depends on a property of the neurons."
    )
