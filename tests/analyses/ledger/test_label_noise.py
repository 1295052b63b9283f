"""What the ledger reads from the experiments on label noise, on made-up findings."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses.ledger.measures import label_noise

NOWHERE = Path("not-used")


def found(monkeypatch: pytest.MonkeyPatch, *findings: tuple[str, xr.Dataset]) -> None:
    """Let every experiment find this."""
    named = [SimpleNamespace(name=f"table_ipr-{name}", data=data) for name, data in findings]
    monkeypatch.setattr(label_noise, "findings", lambda *_, **__: named)


def tables(ipr: list[list[float]], test: list[list[float]]) -> xr.Dataset:
    """Mean IPR of input rows and test accuracy (value, seed); output rows have twice as much."""
    both = np.stack([np.array(ipr), 2 * np.array(ipr)], axis=-1)
    values = [f"value {i}" for i in range(len(ipr))]
    return xr.Dataset(
        {"mean_ipr": (("value", "seed", "table"), both), "test": (("value", "seed"), test)},
        coords={"value": values, "seed": [0, 1], "table": ["input", "output"]},
    )


def test_changes_of_ipr_are_shares_of_what_is_above_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_noise, "_of_noise", lambda p: 0.05)
    good, bad = [0.95, 0.95], [0.2, 0.2]
    found(
        monkeypatch,
        ("fig7a", tables([[0.10, 0.20], [0.20, 0.14], [0.11, 0.09]], [bad, good, bad])),
        ("fig12-heads", tables([[0.25, 0.25], [0.35, 0.20]], [good, [0.95, 0.2]])),
        ("fig14", tables([[0.05, 0.05], [0.06, 0.06]], [bad, bad])),
    )
    data = label_noise.table_ipr(seeds=2, work=NOWHERE, size="small")
    assert data.input_ipr.sel(figure="fig7a", place=1).values.tolist() == [0.20, 0.14]
    assert data.output_ipr.sel(figure="fig7a", place=1).values.tolist() == [0.40, 0.28]
    # Means .15, .17, .10 with noise .05; means .25, .275; nothing above noise.
    change, absolute = data.relative_change, data.largest_change
    assert absolute.values.tolist() == pytest.approx([0.05, 0.025, 0.01])
    assert change.sel(figure="fig7a") == pytest.approx(0.05 / 0.10)
    assert change.sel(figure="fig12-heads") == pytest.approx(0.025 / 0.20)
    assert change.sel(figure="fig14").isnull()
    # Transformers that generalise have .20, .14, .25, .25, .35; no network of layers does.
    assert data.least_periodic.sel(kind="transformer") == pytest.approx(0.14 / 0.05)
    assert data.least_periodic.sel(kind="layers").isnull()


def band(inside: list[list[float]], outside: list[list[float]]) -> xr.Dataset:
    low, high = np.array(inside), np.array(outside)
    least, most = low[:, 1] / low[:, 0], high[:, 1] / high[:, 0]
    return xr.Dataset(
        {
            "phase": (("loss", "decay", "seed"), np.full((2, 1, 1), "confusion")),
            "inside": (("loss", "edge"), low),
            "outside": (("loss", "edge"), high),
            "least_width": ("loss", least),
            "most_width": ("loss", np.where(np.isnan(most), np.inf, most)),
        },
        coords={"loss": ["cross_entropy", "mse"], "edge": ["lower", "upper"]},
    )


def test_a_band_is_closed_by_decays_that_do_not_invert(monkeypatch: pytest.MonkeyPatch) -> None:
    nan = np.nan
    found(monkeypatch, ("", band([[4.0, 6.0], [0.5, 16.0]], [[3.0, 7.0], [nan, 18.0]])))
    data = label_noise.inversion_band(seeds=1, work=NOWHERE, size="published")
    assert data.closed.values.tolist() == [1, 0]
    assert data.ends.values.tolist() == pytest.approx([7 / 3, 32])
    found(monkeypatch, ("", band([[nan, nan], [0.5, 16.0]], [[nan, nan], [nan, 18.0]])))
    none = label_noise.inversion_band(seeds=1, work=NOWHERE, size="published")
    assert none.closed.values.tolist() == [0, 0]


@pytest.mark.parametrize(("works", "decay"), [(True, 3.0), (False, np.nan)])
def test_batchnorm_is_read_where_networks_generalise(
    works: bool, decay: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = [0.2, 0.95 if works else 0.2]
    data: Any = xr.Dataset(
        {
            "accuracy": (
                ("weight_decay", "seed", "subset", "step"),
                np.reshape(test, (2, 1, 1, 1)),
            ),
            "phase": (("weight_decay", "seed"), [["full inversion"], ["coexistence"]]),
            "ipr": (("weight_decay", "seed"), [[0.1], [0.3]]),
            "correlation": (("weight_decay", "seed"), [[0.1], [0.3]]),
        },
        coords={"weight_decay": [0.0, 3.0], "subset": ["test"]},
    )
    found(monkeypatch, ("", data))
    read = label_noise.deep_batchnorm(seeds=1, work=NOWHERE, size="published")
    np.testing.assert_equal(float(read.decay), decay)
    np.testing.assert_equal(read.coexistence.values.tolist(), [1.0 if works else np.nan])
    np.testing.assert_equal(read.ipr.values.tolist(), [0.3 if works else np.nan])
    assert read.inverts_without_decay.values.tolist() == [1.0]


@pytest.mark.parametrize(
    ("phases", "full", "confused"),
    [
        (["memorization", "full inversion", "confusion"], 1, 1),
        (["confusion", "full inversion", "full inversion"], 1, 0),  # not by too much decay
        (["confusion", "confusion", "confusion"], 0, 0),
    ],
)
def test_too_much_decay_is_more_than_what_inverts(
    phases: list[str], full: int, confused: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans, values = ["weight_decay"] * 3 + ["dropout"] * 2, [0.0, 1.0, 9.0, 0.0, 0.5]
    ends = [[[phase]] for phase in [*phases, "coexistence", "coexistence"]]
    test = np.reshape([0.9, 0.8, 0.7, 0.6, 0.5], (5, 1, 1, 1, 1))
    data = xr.Dataset(
        {
            "phase": (("setting", "corruption", "seed"), ends),
            "accuracy": (
                ("setting", "corruption", "seed", "step", "subset"),
                np.concatenate([test, test + 0.05], axis=-1),
            ),
        },
        coords={
            "corruption": [0.4],
            "subset": ["test", "train"],
            "scan": ("setting", scans),
            "value": ("setting", values),
        },
    )
    found(monkeypatch, ("", data))
    read = label_noise.images(seeds=1, work=NOWHERE, size="small")
    assert (read.full_inversion, read.confusion) == (full, confused)
    assert read.test.sel(dropout=0.5).item() == 0.5
    assert read.train.sel(dropout=[0.0, 0.5]).values.ravel().tolist() == pytest.approx([0.65, 0.55])
