"""One self-contained HTML page about a run of any network: its main numbers, and figures.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import report
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
    >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
    >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
    >>> found = report.write_report(run, "report.html")
    >>> found["phase"], found["hypothesis"]["verdict"]
    ('coexistence', 'supported')
"""

import os
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses import dissociation, hypothesis
from analyses.dissociation.computation import MODE, SCORE, units_of
from analyses.dissociation.thresholds import CHANGED_FROM, TEST_FROM
from analyses.explorer.layers import has_plain_weights
from analyses.hypothesis.figures import VERDICTS_CAPTION
from analyses.one_run import (
    attention,
    corrupted_logits,
    embedding_spectrum,
    grokking,
    ipr_histogram,
    progress_measures,
    pruning,
    training_curves,
    units_by_frequency,
    weight_norms,
)
from analyses.one_run.pruning_orders import NAMES
from analyses.one_run.summary import has_one_layer, summarise, table_rows
from analyses.pages.axes import tick_logarithms
from analyses.pages.explorer_link import link_to, write_beside
from analyses.pages.finding import shown
from analyses.pages.page import Section, write_page
from analyses.pages.panels import LOG_STEPS
from analyses.pages.report_words import about_controls, about_neurons, about_removals, why, yes
from analyses.runs_given import check_run
from analyses.statistics.thresholds import GENERALISED_FROM
from grokinterp import Run
from grokinterp.bars import each
from grokinterp.models.units import kind_of
from grokinterp.training.as_run import OutsideRun
from probes import network_on_pairs

# Where each removal takes a forward pass: random orders, and removals scored in each order.
_RANDOM, _REMOVALS = 5, 30


def write_report(
    run: Run, path: str | os.PathLike[str], *, explorer: bool | None = None, progress: bool = False
) -> dict[str, Any]:
    """Write the page and return the run's summary (:func:`analyses.one_run.summary.summarise`).

    A button on the page opens the run's explorer, which is written beside it. Besides the summary's
    entries, "not_shown" says for each question that this network does not answer, why. A network of
    the paper's size takes about a minute.

    Args:
        run: of any network; also one of :func:`grokinterp.as_run`.
        path: the HTML file.
        explorer: write the explorer; False: the page leads to one that is in the same folder, or
            names the command. None: write that of an MLP, which takes a quarter of a minute at the
            paper's size; of a large LSTM it takes minutes.
        progress: show a progress bar.
    """
    check_run(run)
    report, page, link = Report(run), Path(path), None
    if explorer is None:
        explorer = has_plain_weights(run.model)
    try:
        link = write_beside(run, page) if explorer else link_to(page.parent, page)
    except (TypeError, ValueError) as error:
        report.not_shown["explorer"] = str(error)
    figures = report.sections(progress=progress)
    summary: dict[str, Any] = report.summary | {"not_shown": report.not_shown}
    task, ending = summary["task"], "" if run.ended else f" ({run.ending})"
    altered = "wrong" if isinstance(run, OutsideRun) else "redrawn"
    write_page(
        path,
        heading=f"{task['operation']} mod {task['p']}, {task['corruption']:.0%} of the training "
        f"labels {altered}: {summary['phase']}{ending}",
        intro=f"{task['train_fraction']:.0%} of the {task['p'] ** 2} pairs train; "
        f"{task['changed_labels']} of their labels are wrong. Figure numbers are those of Doshi "
        "et al., arXiv:2310.13061.",
        rows=table_rows(summary),
        sections=figures,
        link=link,
    )
    return summary


class Report:
    """The questions of a report, and what is known of the answers so far.

    A question that a network does not answer raises TypeError or ValueError, with the reason.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.not_shown: dict[str, str] = {}

    @property
    def questions(self) -> dict[str, Callable[[], Iterable[Section]]]:
        """All of them, in the order of the page."""
        return {
            "training curves": self._curves,
            "IPR over training": self._ipr,
            "progress measures": self._progress,
            "frequencies of the tables": self._spectrum,
            "units by frequency": self._units,
            "removing units": self._pruning,
            "dissociation": self._dissociation,
            "attention": self._attention,
            "corrupted examples": self._corrupted,
            "Hypothesis 2.2": self._hypothesis,
            "weight norms": self._norms,
        }

    def sections(self, *, progress: bool = False) -> list[Section]:
        """The answers, and a table of the questions without one."""
        found: list[Section] = []
        for name in each(list(self.questions), "questions", wanted=progress):
            try:
                found += self.questions[name]()
            except (TypeError, ValueError) as error:
                self.not_shown[name] = str(error)
        if self.not_shown:
            rows = list(self.not_shown.items())
            found.append(Section(None, title="Not shown, and why", rows=rows))
        return found

    @property
    def summary(self) -> dict[str, Any]:
        """The main numbers, of the answers that there are."""
        known = vars(self)  # cached, where the question was answered
        pruned, has_ipr = known.get("pruned"), has_one_layer(self.run.model)
        return summarise(
            self.run,
            pruned if has_ipr else None,
            judged=known.get("judged"),
            apart=known.get("apart"),
        )

    @cached_property
    def curves(self) -> xr.Dataset:
        """Accuracies and losses against steps."""
        if self.run.history.sizes["step"] < 2:
            raise ValueError("the history has one step, so there is no curve")
        return training_curves.compute(self.run)

    @cached_property
    def pruned(self) -> xr.Dataset:
        """Removing the last neurons or, where there are none, other units."""
        if has_one_layer(self.run.model):
            return pruning.compute(self.run)
        network = network_on_pairs(self.run.model)
        units = units_of(network)
        if not units:
            raise ValueError(f"{network.anatomy.description} names no units that could be removed")
        neurons = [name for name in units if kind_of(name) != "heads"]
        unit = (neurons or units)[-1]
        return pruning.compute(self.run, unit=unit, random_seeds=_RANDOM, removals=_REMOVALS)

    @cached_property
    def apart(self) -> xr.Dataset:
        """Selectivity of removing every kind of units."""
        last = self.run.history.isel(step=-1)
        test, changed = (float(last[f"{name}_accuracy"]) for name in ("test", "changed"))
        if not (test >= TEST_FROM and changed >= CHANGED_FROM):
            raise ValueError(
                f"the network does not do both: accuracy {test:.3f} on test (wanted {TEST_FROM}), "
                + (
                    f"{changed:.3f} on wrong labels (wanted {CHANGED_FROM})"
                    if np.isfinite(changed)
                    else "and no label was wrong"
                )
            )
        return dissociation.compute(
            {"": [self.run]}, scores=(SCORE,), modes=(MODE,), random_seeds=_RANDOM
        )

    @cached_property
    def judged(self) -> xr.Dataset:
        """Hypothesis 2.2."""
        return hypothesis.compute(self.run)

    def _curves(self) -> Iterable[Section]:
        figure = training_curves.plot_accuracy(self.curves, title="Training curves (as Fig. 1)")
        loss = training_curves.plot_loss(self.curves)
        for one in (figure, loss):
            self._scale_steps(one)
        end = float(self.curves["loss"].sel(split="test")[-1])
        on_log = _ON_LOG * training_curves.is_squeezed(self.curves)
        return [
            Section(figure, self._about_curves() + on_log),
            Section(loss, f"The test loss ends at {end:.3g}."),
        ]

    def _scale_steps(self, figure: go.Figure) -> None:
        """A logarithmic axis of steps, where early training would have no room on a linear one."""
        if training_curves.is_squeezed(self.curves):
            tick_logarithms(figure.update_xaxes(**LOG_STEPS))

    def _about_curves(self) -> str:
        curves, summary, level = self.curves, self.summary, GENERALISED_FROM
        accuracy, learned = summary["accuracy"], curves.accuracy.sel(subset="test") >= level
        at = int(curves.step[learned.argmax("step")])
        when = (
            f"Test accuracy first reaches {level} at step {at}"
            if bool(learned.any())
            else f"Test accuracy never reaches {level}"
        )
        if summary["task"]["changed_labels"] == 0:
            return f"{when}; no label was corrupted. The run ends in {summary['phase']}."
        return (
            f"{when}. At the end the network is right on {accuracy['test']:.1%} of the test set "
            f"and answers {accuracy['changed']:.1%} of the corrupted training pairs with their "
            f"wrong label: {summary['phase']}."
        )

    def _ipr(self) -> Iterable[Section]:
        if not has_one_layer(self.run.model):
            raise ValueError("only a network with one hidden layer and no norm has it")
        neurons, summary = ipr_histogram.compute(self.run), self.summary
        title = "How periodic are neurons? (as Fig. 4)"
        histogram = ipr_histogram.plot_histogram(neurons, title=title)
        found = [Section(histogram, about_neurons(summary["neurons"]))]
        if self.run.history.sizes["step"] < 2:
            return found
        grown, p = grokking.compute(self.run), summary["task"]["p"]
        time = grokking.plot_over_time(grown, title="Accuracy and IPR while training (as Fig. 2a)")
        self._scale_steps(time)
        row = grokking.plot_row(grown, title="One neuron's weights, before and after (as Fig. 2b)")
        ends = "" if (ipr := summary["mean_ipr"]) is None else f"; it ends at {ipr:.3f}"
        return [
            Section(
                time,
                "The mean IPR is small for random weights and grows as neurons become periodic"
                f"{ends}.",
            ),
            Section(
                row,
                f"After training, the weights of neuron {grown.attrs['neuron']} from the first "
                f"operand have mainly frequency {grown.attrs['frequency']} (cycles per {p} "
                "residues); before, they were noise.",
            ),
            *found,
        ]

    def _progress(self) -> Iterable[Section]:
        data = progress_measures.compute(self._with_checkpoints())
        first, last = data.isel(step=0), data.isel(step=-1)
        told = (
            f"Over {data.sizes['step']} stored networks, the trigonometric share of the logits "
            f"goes from {float(first.explained):.0%} to {float(last.explained):.0%}; "
            f"{int(last.n_key)} frequencies are key frequencies at the end."
        )
        return [Section(progress_measures.plot_progress(data), told)]

    def _spectrum(self) -> Iterable[Section]:
        data = embedding_spectrum.compute(self._with_checkpoints())
        told = f"{'; '.join(embedding_spectrum.in_words(data))}."
        return [Section(embedding_spectrum.plot_spectrum(data), told)]

    def _with_checkpoints(self) -> Run:
        if isinstance(self.run, OutsideRun):
            raise ValueError(f"the network was {self.run.ending}, and only its end is known")
        if not self.run.checkpoints:
            raise ValueError(
                "the run has no checkpoints; train with --checkpoints 20, or checkpoints= in Python"
            )
        return self.run

    def _units(self) -> Iterable[Section]:
        data = units_by_frequency.compute(self.run)
        told = " ".join(units_by_frequency.in_words(data))
        return [Section(units_by_frequency.plot_units(data), told)]

    def _pruning(self) -> Iterable[Section]:
        pruned, summary = self.pruned, self.summary
        order = str(pruned.order.values[0])
        of = pruning.words_on(pruned)
        by_ipr = summary["pruning_by_ipr"]
        title = f"Removing {of} by {NAMES[order]}" + " (as Figs. 6 and 17)" * bool(by_ipr)
        loss = "The same removals: loss" + " (as Fig. 18)" * bool(by_ipr)
        return [
            Section(pruning.plot_pruning(pruned, title=title), about_removals(pruned, order)),
            Section(
                pruning.plot_pruning(pruned, quantity="loss", title=loss),
                "Neurons of low IPR cancel small errors in the periodic neurons' logits. This "
                "affects the loss and not the accuracy, so the test loss may rise where the test "
                "accuracy rises."
                if by_ipr
                else "The loss can change where the accuracy does not.",
            ),
            Section(pruning.plot_controls(pruned), about_controls(pruned)),
        ]

    def _dissociation(self) -> Iterable[Section]:
        _ = self.apart
        rows = self.summary["dissociation"]
        words = [f"{row['units']}: {row['verdict']}" for row in rows]
        return [
            Section(
                None,
                f"{'; '.join(words)}. S_mem is how much more of the wrong labels than of the test "
                "accuracy is lost when the least periodic units go, S_gen the reverse for the most "
                f"periodic ones; removed units keep their mean. Beside them, the largest of "
                f"{_RANDOM} random orders.",
                title="Do memorising and generalising sit in different units?",
                head=list(rows[0]),
                rows=[tuple(shown(value) for value in row.values()) for row in rows],
            )
        ]

    def _attention(self) -> Iterable[Section]:
        data = attention.compute(self.run)
        return [Section(attention.plot_attention(data), attention.caption(data))]

    def _corrupted(self) -> Iterable[Section]:
        data = corrupted_logits.compute(self.run)
        share = data.share.isel(run=0)
        told = (
            f"On {data.sizes['example']} corrupted training pairs the largest logit is that of the "
            f"wrong label in {float(share.sel(role='given')):.0%}, of the true label in "
            f"{float(share.sel(role='true')):.0%}, of another class in "
            f"{float(share.sel(role='other')):.0%}."
        )
        return [
            Section(corrupted_logits.plot_logits(data), told),
            Section(corrupted_logits.plot_examples(data), corrupted_logits.SENTENCES[1]),
        ]

    def _hypothesis(self) -> Iterable[Section]:
        data = self.judged
        found = self.summary["hypothesis"]
        rows = [
            (
                what,
                yes(answer["passed"]) + ", near its bound" * answer["near"],
                why(answer["why"]),
            )
            for what, answer in found["answers"].items()
        ]
        return [
            Section(
                None,
                f"Verdict: {found['verdict']}. {found['reason'][:1].upper()}{found['reason'][1:]}.",
                title="Hypothesis 2.2: periodic features, then trigonometry?",
                head=("property", "has it", "measured, and bound"),
                rows=rows,
            ),
            Section(
                hypothesis.plot_verdicts(data),
                VERDICTS_CAPTION,
            ),
        ]

    def _norms(self) -> Iterable[Section]:
        if self.run.history.sizes["step"] < 2:
            raise ValueError("the history has one step, so there is no curve")
        norms = weight_norms.compute(self.run)
        figure = weight_norms.plot_norms(norms, title="Weight norms (as Fig. 8b)")
        self._scale_steps(figure)
        return [
            Section(
                figure,
                f"The norm of all weights ends at {norms.attrs['final']:.2f}, "
                f"{norms.attrs['final'] / norms.attrs['largest']:.0%} of its largest value. Below "
                "1 % the network has collapsed, as under strong weight decay after grokking.",
            )
        ]


_ON_LOG = " The axis of steps is logarithmic, because training is learned early."
