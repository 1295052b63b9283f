"""The dozen numbers that the command line prints of a run."""

import dataclasses

import torch

import grokinterp as gi
from analyses.one_run import pruning
from analyses.one_run.summary import summarise, table_rows


def test_redrawn_labels_are_shown_beside_the_really_wrong_ones(corrupted_run: gi.Run) -> None:
    pruned = pruning.compute(corrupted_run, orders=["ipr"])
    summary = summarise(corrupted_run, pruned)
    data = corrupted_run.dataset
    with torch.no_grad():
        right = corrupted_run.model(data.tokens).argmax(dim=1) == data.labels
    shown = dict(table_rows(summary))
    want = right[data.is_selected].double().mean().item()
    assert shown["accuracy: train, redrawn labels (1/p of them true)"] == f"{want:.3f}"
    # A run that an earlier version saved has no such numbers.
    older = corrupted_run.history.drop_vars(["selected_loss", "selected_accuracy"])
    before = summarise(dataclasses.replace(corrupted_run, history=older), pruned)
    assert not any("redrawn" in name for name in dict(table_rows(before)))
