"""Networks that the probes' tests measure."""

import pytest

import grokinterp as gi


@pytest.fixture(scope="session")
def closed_form() -> gi.HookedMLP:
    """The paper's analytic solution at its own size: every vector is one cosine. Only read it."""
    return gi.closed_form_mlp(p=97, d_mlp=500, seed=0)


@pytest.fixture(scope="session")
def random_model() -> gi.HookedMLP:
    """An untrained network with nothing periodic in it. Only read it."""
    return gi.HookedMLP(gi.MLPConfig(d_mlp=20), p=11, seed=3)
