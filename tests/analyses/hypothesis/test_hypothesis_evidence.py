"""What Hypothesis 2.2 is judged by: numbers of networks that are known."""

import pytest

import grokinterp as gi
from analyses import hypothesis


def test_hypothesis_2_2_is_judged_without_weak_neurons(with_weak_neurons: gi.HookedMLP) -> None:
    alone = gi.closed_form_mlp(p=13, d_mlp=60)
    one, other = (
        hypothesis.compute_model(model, "addition", random_draws=2).isel(run=0)
        for model in (alone, with_weak_neurons)
    )
    measures = ["row_ipr", "total_ipr", "feature_ipr"]
    for of in ("network", "shuffled"):
        want, got = (data.periodicity.sel(measure=measures, of=of).values for data in (one, other))
        assert got == pytest.approx(want, abs=1e-5)
        want, got = (data.neuron_share.sel(of=of).item() for data in (one, other))
        assert got == pytest.approx(want, abs=1e-5)
    assert other.n_dead_features - one.n_dead_features == 2 * 40
    assert other.n_dead_neurons - one.n_dead_neurons == 40
    assert other.n_kept == one.n_kept
