"""The experiments of ``grokinterp run`` and the analyses of ``grokinterp analyse``, by name.

To add one, add an entry here. A module of ``EXPERIMENTS`` has a function ``experiment(out, ...)``,
which yields an ``Announcement`` before it starts and then each ``Finding``. A module of
``ANALYSES`` has a function ``analysis(run, ...)`` or ``analysis(runs, ...)``, which returns one
``Finding``. Their other arguments become options of the command.

Modules are named and not imported, so that listing them and ``--help`` are fast.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An experiment or analysis: its module, and its description in lists."""

    module: str
    shows: str
    figures: str = ""  # of the papers
    cost: str = ""  # runs and steps for each size, with the default number of seeds


FIRST, SECOND = "first paper", "second paper"

EXPERIMENTS = {
    "grokking_across": Entry(
        module="analyses.efficiency.grokking_across",
        shows="three networks on three amounts of data: which generalise late",
        figures=f"{SECOND}, Figs. 1-3",
        cost="tiny 27 runs, 8,100 steps; "
        "small 27 runs, 108,000 steps; published 27 runs, 2,700,000 steps",
    ),
    "data_efficiency": Entry(
        module="analyses.efficiency.data_efficiency",
        shows="nine optimisers and regularisers on nine amounts of data: which need less",
        figures=f"{SECOND}, Fig. 4",
        cost="tiny 90 runs, 18,000 steps; "
        "small 405 runs, 4,050,000 steps; published 405 runs, 40,500,000 steps",
    ),
    "mixture": Entry(
        module="analyses.efficiency.mixing",
        shows="a memorising and a generalising circuit mixed: as published, leak-free, in variants",
        figures=f"{SECOND}, Fig. 5",
        cost="tiny 9 runs, 6,000 steps; "
        "small 9 runs, 28,500 steps; published 9 runs, 603,000 steps",
    ),
    "model_efficiency": Entry(
        module="analyses.efficiency.model_efficiency",
        shows="the parameter norm that memorising and generalising need, against data",
        figures=f"{SECOND}, Fig. 6",
        cost="tiny 51 runs, 15,300 steps; "
        "small 51 runs, 153,000 steps; published 51 runs, 5,100,000 steps",
    ),
    "training_efficiency": Entry(
        module="analyses.efficiency.training_efficiency",
        shows="the steps that memorising and generalising take, against data",
        figures=f"{SECOND}, section 4.1",
        cost="tiny 51 runs, 15,300 steps; "
        "small 51 runs, 153,000 steps; published 51 runs, 5,100,000 steps",
    ),
    "ungrokking": Entry(
        module="analyses.efficiency.ungrokking",
        shows="grokked networks trained on with less data: where they forget the rule",
        figures=f"{SECOND}, Figs. 7, 8",
        cost="tiny 279 runs, 56,700 steps; "
        "small 819 runs, 2,223,000 steps; published 819 runs, 25,200,000 steps",
    ),
    "semi_grokking": Entry(
        module="analyses.efficiency.semi_grokking",
        shows="training near the critical amount of data: stuck half-way, or merely unfinished",
        figures=f"{SECOND}, Fig. 9",
        cost="tiny 12 runs, 7,200 steps; "
        "small 18 runs, 648,000 steps; published 33 runs, 9,900,000 steps",
    ),
    "d_crit": Entry(
        module="analyses.efficiency.d_crit",
        shows="the critical data-set size, estimated in three ways: are they equal?",
        figures=f"{SECOND}, section 4.2",
        cost="tiny 150 runs, 54,000 steps; "
        "small 370 runs, 1,770,000 steps; published 430 runs, 60,500,000 steps",
    ),
    "stability": Entry(
        module="analyses.efficiency.stability",
        shows="norms, learning rates, decays: with which a transformer groks and stays grokked",
        cost="tiny 12 runs, 3,600 steps; "
        "small 30 runs, 199,500 steps; published 24 runs, 2,400,000 steps",
    ),
    "halves": Entry(
        module="analyses.efficiency.halves",
        shows="networks in Coexistence taken apart into a memorising and a generalising half",
        cost="tiny 3 runs, 600 steps; small 3 runs, 1,500 steps; published 3 runs, 3,000 steps",
    ),
    "coverage": Entry(
        module="analyses.statistics.coverage",
        shows="simulated curves: how often the three estimates of D_crit are right",
        cost="no runs; about four hours of one core",
    ),
    "architectures": Entry(
        module="analyses.hypothesis.architectures",
        shows="periodic features, then trigonometry? four architectures, and controls",
        figures=f"{FIRST}, Hypothesis 2.2",
        cost="27 runs, 27,000 steps",
    ),
    "dissociation": Entry(
        module="analyses.dissociation",
        shows="six architectures taken apart: do memorising and generalising sit in other units?",
        figures=f"{FIRST}, Fig. 6, for every architecture",
        cost="18 runs, 30,600 steps",
    ),
    "table_ipr": Entry(
        module="analyses.label_noise.table_ipr",
        shows="transformers and three-layer networks: how one setting changes their tables' IPR",
        figures=f"{FIRST}, Figs. 7, 12-14",
        cost="tiny 42 runs, 2,520 steps; "
        "small 84 runs, 156,000 steps; published 84 runs, 300,000 steps",
    ),
    "deep_batchnorm": Entry(
        module="analyses.label_noise.deep_batchnorm",
        shows="three layers with BatchNorm: which neurons do the norms amplify, and where",
        figures=f"{FIRST}, Fig. 15",
        cost="tiny 12 runs, 2,880 steps; "
        "small 12 runs, 72,000 steps; published 12 runs, 240,000 steps",
    ),
    "images": Entry(
        module="analyses.images",
        shows="images with wrong labels: what weight decay and dropout forget",
        figures=f"{FIRST}, Fig. 16",
        cost="tiny 9 runs, 1,800 steps; "
        "small 66 runs, 198,000 steps; published 99 runs, 990,000 steps",
    ),
    "dropout_curves": Entry(
        module="analyses.label_noise.dropout_curves",
        shows="training with more and more dropout, and the neurons that are left",
        figures=f"{FIRST}, Figs. 4b, 19",
        cost="tiny 20 runs, 6,000 steps; "
        "small 20 runs, 20,000 steps; published 20 runs, 40,000 steps",
    ),
    "inversion_band": Entry(
        module="analyses.label_noise.inversion_band",
        shows="the band of weight decays that inverts, with cross-entropy and squared error",
        figures=f"{FIRST}, Fig. 26",
        cost="tiny 78 runs, 23,400 steps; "
        "small 78 runs, 78,000 steps; published 78 runs, 156,000 steps",
    ),
    "pruned_width": Entry(
        module="analyses.label_noise.pruned_width",
        shows="how many neurons are needed to generalise, against the width",
        figures=f"{FIRST}, Fig. 32",
        cost="tiny 15 runs, 4,500 steps; "
        "small 25 runs, 25,000 steps; published 35 runs, 70,000 steps",
    ),
}

ANALYSES = {
    "training_curves": Entry(
        module="analyses.one_run.training_curves",
        shows="accuracies and losses against training steps; any network",
        figures=f"{FIRST}, Fig. 1",
    ),
    "grokking": Entry(
        module="analyses.one_run.grokking",
        shows="accuracy and IPR over time",
        figures=f"{FIRST}, Fig. 2",
    ),
    "ipr_histogram": Entry(
        module="analyses.one_run.ipr_histogram",
        shows="how many neurons are periodic",
        figures=f"{FIRST}, Fig. 4",
    ),
    "norm_gain": Entry(
        module="analyses.one_run.norm_gain",
        shows="whether a norm amplifies the periodic neurons",
        figures=f"{FIRST}, Figs. 5, 15",
    ),
    "pruning": Entry(
        module="analyses.one_run.pruning",
        shows="accuracy while units are removed by periodicity or in control orders; any network",
        figures=f"{FIRST}, Figs. 6, 17, 18",
    ),
    "units_by_frequency": Entry(
        module="analyses.one_run.units_by_frequency",
        shows="how many neurons of each layer each frequency has; any network",
    ),
    "attention": Entry(
        module="analyses.one_run.attention",
        shows="where every attention head looks, over all pairs (a, b)",
    ),
    "embedding_spectrum": Entry(
        module="analyses.one_run.embedding_spectrum",
        shows="frequencies of input and output tables at every checkpoint; any network",
    ),
    "row_ipr": Entry(
        module="analyses.one_run.row_ipr",
        shows="how periodic the input and output tables are; any network",
        figures=f"{FIRST}, Figs. 7, 12-14",
    ),
    "phases": Entry(
        module="analyses.one_run.phases",
        shows="which phase each run is in; any network",
        figures=f"{FIRST}, Tables 1, 2",
    ),
    "weight_norms": Entry(
        module="analyses.one_run.weight_norms",
        shows="norms of the weights while training; any network",
        figures=f"{FIRST}, Fig. 8b",
    ),
    "norm_curves": Entry(
        module="analyses.one_run.norm_curves",
        shows="training with BatchNorm, LayerNorm and no norm side by side",
        figures=f"{FIRST}, Figs. 20-22",
    ),
    "corrupted_logits": Entry(
        module="analyses.one_run.corrupted_logits",
        shows="what a network answers on corrupted examples; any network",
        figures=f"{FIRST}, Fig. 23",
    ),
    "logit_split": Entry(
        module="analyses.one_run.logit_split",
        shows="which neurons write the logits of corrupted examples",
        figures=f"{FIRST}, Fig. 23",
    ),
    "progress_measures": Entry(
        module="analyses.one_run.progress_measures",
        shows="restricted and excluded loss, periodicity, norms at every checkpoint; any network",
    ),
    "embedding_planes": Entry(
        module="analyses.one_run.embedding_planes",
        shows="an animation of the embedding in its key frequencies' planes, over checkpoints",
    ),
    "solution_form": Entry(
        module="analyses.one_run.solution_form",
        shows="whether neurons have the phases and amplitudes of the analytic solution",
        figures=f"{FIRST}, Eq. 2",
    ),
    "spectral_surgery": Entry(
        module="analyses.one_run.spectral_surgery",
        shows="what is left when neurons keep their own frequency alone, against random removals",
    ),
    "frequency_winners": Entry(
        module="analyses.one_run.frequency_winners",
        shows="whether neurons' final frequencies could be told from their initial weights",
    ),
    "hypothesis": Entry(
        module="analyses.hypothesis.evaluate",
        shows="periodic features, then trigonometry? with controls; any network",
        figures=f"{FIRST}, Hypothesis 2.2",
    ),
}


def resolve(kind: str, name: str) -> Any:
    """Import the module of an entry and return its function; kind: "experiment" or "analysis"."""
    import importlib

    table = {"experiment": EXPERIMENTS, "analysis": ANALYSES}[kind]
    return getattr(importlib.import_module(table[name].module), kind)


def near(name: str, table: Mapping[str, Entry]) -> str:
    """A hint for an unknown name: similar names, or else all names."""
    found = difflib.get_close_matches(name.lower().replace("-", "_"), table)
    return f"did you mean {' or '.join(found)}?" if found else f"there is {', '.join(table)}"
