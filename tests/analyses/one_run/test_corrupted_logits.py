"""Logits on corrupted examples against the model's own answers, example by example."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

import grokinterp as gi
from analyses.one_run import corrupted_logits
from tests.tolerance import rounding


def answered(run: gi.Run) -> torch.Tensor:
    """Of all pairs at once, as there: where two logits tie, the same one wins."""
    with torch.no_grad():
        return run.model(run.dataset.tokens)[run.dataset.is_changed].double()


def gap(run: gi.Run) -> float:
    """What rounding does to a logit of a network with at most 100 terms on the way."""
    return rounding(torch.float32, 100, answered(run).abs().max().item())


def test_logits_and_answers_of_every_changed_example(corrupted_run: gi.Run) -> None:
    untrained = dataclasses.replace(corrupted_run, model=gi.build_model(corrupted_run.config))
    runs = [corrupted_run, untrained]
    found = corrupted_logits.compute(runs, examples=3, labels=["trained", "untrained"])
    data = corrupted_run.dataset
    pairs = data.tokens[data.is_changed].tolist()
    assert found.sizes["example"] == len(pairs) > 10
    for i, run in enumerate(runs):
        counts: dict[str, int] = dict.fromkeys(corrupted_logits.ROLES, 0)
        for j, logits in enumerate(answered(run).tolist()):
            here = found.isel(run=i, example=j)
            a, b = pairs[j]
            given, true = int(data.labels[a * 11 + b]), (a + b) % 11
            assert (here.a, here.b, here.given, here.true) == (a, b, given, true)
            others = {c: logit for c, logit in enumerate(logits) if c not in (given, true)}
            best = max(others, key=lambda c: others[c])
            assert here.best_other == best
            wanted = [logits[given], logits[true], logits[best]]
            np.testing.assert_allclose(here.logit, wanted, rtol=0, atol=gap(run))
            top = {given: "given", true: "true", best: "other"}[int(np.argmax(logits))]
            assert here.top == top
            counts[top] += 1
        shares = [count / len(pairs) for count in counts.values()]
        np.testing.assert_allclose(found.share.isel(run=i), shares)
    last = corrupted_run.history.changed_accuracy[-1].item()
    assert found.share.sel(run="trained", role="given").item() == pytest.approx(last)
    assert found.share.sel(run="untrained", role="other") > 0.5


def test_curves_are_whole_logits_of_examples_from_first_to_last(corrupted_run: gi.Run) -> None:
    found = corrupted_logits.compute(corrupted_run, examples=3)
    last = found.sizes["example"] - 1
    assert found.shown.values.tolist() == [0, round(last / 2), last]
    logits = answered(corrupted_run).numpy()
    np.testing.assert_allclose(
        found.curve.isel(run=0), logits[found.shown], rtol=0, atol=gap(corrupted_run)
    )
    few = corrupted_logits.compute(corrupted_run, examples=1000)
    assert few.shown.values.tolist() == list(range(last + 1))


def test_the_network_is_left_as_it_was(corrupted_run: gi.Run) -> None:
    model = copy.deepcopy(corrupted_run.model).train()
    corrupted_logits.compute(dataclasses.replace(corrupted_run, model=model))
    assert model.training


def test_other_architectures_can_be_compared_on_the_same_data(corrupted_run: gi.Run) -> None:
    config = corrupted_run.config.replace(
        {"model": gi.TransformerConfig.paper1(d_model=8, n_heads=2), "training.steps": 2}
    )
    other = gi.train(config, device="cpu", progress=False)
    found = corrupted_logits.compute([corrupted_run, other], labels=["MLP", "transformer"])
    wanted = answered(other)[torch.arange(len(found.given)), torch.tensor(found.given.values)]
    given = found.logit.sel(run="transformer", role="given")
    np.testing.assert_allclose(given, wanted, rtol=0, atol=gap(other))


def test_a_diverged_network_gives_no_answer(corrupted_run: gi.Run) -> None:
    model = copy.deepcopy(corrupted_run.model)
    with torch.no_grad():
        model.W_U.fill_(torch.nan)
    found = corrupted_logits.compute(
        [corrupted_run, dataclasses.replace(corrupted_run, model=model)], labels=["whole", "gone"]
    )
    assert set(found.top.sel(run="gone").values) == {""}
    assert bool(found.share.sel(run="gone").isnull().all())
    assert float(found.share.sel(run="whole").sum()) == pytest.approx(1)


def test_nothing_to_compare_is_refused(corrupted_run: gi.Run, clean_run: gi.Run) -> None:
    with pytest.raises(ValueError, match="runs is empty"):
        corrupted_logits.compute([])
    with pytest.raises(ValueError, match="no training label was changed"):
        corrupted_logits.compute(clean_run)
    with pytest.raises(ValueError, match=r"different data.*data\.seed"):
        corrupted_logits.compute([corrupted_run, clean_run])
    with pytest.raises(ValueError, match="examples must be at least 1"):
        corrupted_logits.compute(corrupted_run, examples=0)


def test_histograms_show_every_logit_and_the_shares(
    corrupted_run: gi.Run, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    found = corrupted_logits.compute([corrupted_run] * 2, labels=["one", "two"])
    figure: Any = corrupted_logits.plot_logits(found)
    assert [trace.type for trace in figure.data] == ["histogram"] * 6
    for i, trace in enumerate(figure.data):
        run, role = divmod(i, 3)
        np.testing.assert_array_equal(trace.x, found.logit[run, :, role])
    heading = figure.layout.annotations[1].text
    assert heading.startswith(f"<b>two</b>: answers: given {float(found.share[0, 0]):.1%}, true ")
    assert axis_titles(figure) == {"logit", "% of examples", ""}


def test_examples_mark_the_two_labels(corrupted_run: gi.Run) -> None:
    found = corrupted_logits.compute([corrupted_run] * 2, examples=3, labels=["one", "two"])
    figure: Any = corrupted_logits.plot_examples(found)
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    np.testing.assert_array_equal([line.y for line in lines], found.curve.values.reshape(6, -1))
    for role in ("given", "true"):
        marks = [t for t in figure.data if t.mode == "markers" and t.legendgroup == role]
        assert len(marks) == 6
        assert sum(mark.showlegend for mark in marks) == 1
        for i, mark in enumerate(marks):
            example = found.isel(example=int(found.shown[i % 3]))
            assert mark.x[0] == example[role]
            assert mark.y[0] == example.logit.sel(role=role)[i // 3]
    shown = found.isel(example=found.shown.values)
    titles = [f"({a}, {b})" for a, b in np.stack([shown.a, shown.b], axis=1).tolist()]
    assert [note.text for note in figure.layout.annotations] == titles
