"""Training on images that the tests draw: two classes that one pixel tells apart."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from analyses.images import runs, training
from analyses.images.computation import compute, of_scan, table
from analyses.images.figures import plot_history, plot_scans
from analyses.images.loading import Images
from analyses.images.runs import Scan, collect, file_of, scan_of
from analyses.images.training import ImageConfig, Network, labelled, train

CONFIG = ImageConfig(n_train=60, width=16, steps=250, lr=1e-2, batch_size=20, corruption=0.3)
SCAN = Scan(
    base=dataclasses.replace(CONFIG, steps=4),
    corruptions=(0.0, 0.5),
    weight_decays=(0.0, 5.0),
    dropouts=(0.0, 0.5),
)


def draw_images(*, own_split: bool = False) -> Images:
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (100,), generator=rng)
    pixels = torch.rand(100, 12, generator=rng)
    pixels[:, 0] = labels.float()
    return Images("drawn", pixels, labels, torch.arange(100) >= 70 if own_split else None)


@pytest.fixture(scope="module")
def images() -> Images:
    return draw_images()


def test_wrong_labels_are_those_of_training_images_that_were_redrawn(images: Images) -> None:
    data = labelled(images, CONFIG)
    order = [int((images.pixels == row).all(dim=1).nonzero()) for row in data.pixels]
    assert sorted(order) == list(range(100))  # each image once, training images first
    true = images.labels[order]
    assert torch.equal(data.is_changed, data.labels != true)
    redrawn = int(0.3 * 60)
    assert not data.is_changed[redrawn:].any()
    assert 0 < int(data.is_changed.sum()) < redrawn  # about half keep their label of two
    more = labelled(images, dataclasses.replace(CONFIG, corruption=0.6))
    assert torch.equal(more.labels[:redrawn], data.labels[:redrawn])
    other = labelled(images, dataclasses.replace(CONFIG, seed=1))
    assert not torch.equal(other.pixels, data.pixels)


def test_a_split_of_its_own_is_kept() -> None:
    data = labelled(draw_images(own_split=True), dataclasses.replace(CONFIG, n_train=None))
    own = draw_images().pixels
    assert data.n_train == 70
    train_rows, test_rows = data.pixels[:70], data.pixels[70:]
    assert torch.equal(train_rows.sort(dim=0).values, own[:70].sort(dim=0).values)
    assert torch.equal(test_rows.sort(dim=0).values, own[70:].sort(dim=0).values)


@pytest.mark.parametrize("n_train", [100, 101])
def test_too_many_training_images(images: Images, n_train: int) -> None:
    with pytest.raises(ValueError, match=rf"n_train={n_train} of 100 images .* leaves 0 for the"):
        labelled(images, dataclasses.replace(CONFIG, n_train=n_train))


def test_logits_are_those_of_torchs_layers(images: Images) -> None:
    data = labelled(images, CONFIG)
    network = Network(data, CONFIG)
    layers: list[torch.nn.Module] = []
    for weight, bias in zip(network.weights, network.biases, strict=True):
        linear = torch.nn.Linear(*weight.shape)
        linear.weight.data, linear.bias.data = weight.data.T, bias.data
        layers += [linear, torch.nn.ReLU()]
    assert len(network.weights) == 4
    theirs = torch.nn.Sequential(*layers[:-1])
    torch.testing.assert_close(network.logits(data.pixels), theirs(data.pixels))
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        drawn = torch.stack([network.logits(data.pixels[:1], 0.5, rng) for _ in range(50)])
    assert len(drawn.unique(dim=0)) > 10


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_global_generator_is_not_touched(images: Images, dropout: float) -> None:
    before = torch.get_rng_state()
    config = dataclasses.replace(CONFIG, steps=3, dropout=dropout)
    first, second = train(images, config), train(images, config)
    assert torch.equal(torch.get_rng_state(), before)
    xr.testing.assert_equal(first, second)


def test_without_decay_labels_are_memorised_and_with_it_the_rule_is_learned(
    images: Images,
) -> None:
    """All wrong labels learned; none, and all test images right; too much decay, and nothing."""
    runs = {
        decay: train(images, dataclasses.replace(CONFIG, weight_decay=decay))
        for decay in (0.0, 4.0, 99.0)
    }
    phases = [str(run.phase.values) for run in runs.values()]
    assert phases == ["coexistence", "full inversion", "confusion"]
    ruled = runs[4.0].accuracy.isel(step=-1)
    assert float(ruled.sel(subset="train")) == 1 - runs[4.0].attrs["n_changed"] / 60
    norms = [float(run.norm[-1]) for run in runs.values()]
    assert norms[0] > 2 * norms[1] > 100 * norms[2]


def test_accuracy_and_loss_are_those_of_the_subsets(images: Images) -> None:
    """The untrained network's, against torch's own functions."""
    data = labelled(images, CONFIG)
    logits = Network(data, CONFIG).logits(data.pixels).detach()
    row = train(images, dataclasses.replace(CONFIG, steps=1)).isel(step=0)
    for subset, part in {"train": slice(0, 60), "test": slice(60, None)}.items():
        right = (logits[part].argmax(1) == data.labels[part]).double().mean()
        assert float(row.accuracy.sel(subset=subset)) == pytest.approx(float(right))
        loss = torch.nn.functional.cross_entropy(logits[part].double(), data.labels[part])
        assert float(row["loss"].sel(split=subset)) == pytest.approx(float(loss), rel=1e-5)
    changed = data.is_changed[:60]
    right = logits.argmax(1)[:60] == data.labels[:60]
    assert float(row.accuracy.sel(subset="changed")) == float(right[changed].double().mean())
    assert float(row.accuracy.sel(subset="unchanged")) == float(right[~changed].double().mean())


def test_runs_at_zero_are_in_both_scans_and_trained_once() -> None:
    assert len(SCAN.configs(seeds=3)) == (2 + 2 - 1) * 2 * 3
    assert {c.dropout for c in SCAN.configs(1) if c.weight_decay} == {0.0}


@pytest.fixture(scope="module")
def scanned(images: Images, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, xr.Dataset]:
    out, configs = tmp_path_factory.mktemp("images"), SCAN.configs(2)
    return out, compute(SCAN, configs, collect(out, images, configs, progress=False))


def test_each_run_has_its_place(images: Images, scanned: tuple[Path, xr.Dataset]) -> None:
    data = scanned[1]
    assert data.accuracy.dims == ("setting", "corruption", "seed", "step", "subset")
    alone = train(images, dataclasses.replace(SCAN.base, dropout=0.5, corruption=0.5, seed=1))
    here = of_scan(data, "dropout").sel(dropout=0.5, corruption=0.5, seed=1)
    assert np.array_equal(here.accuracy, alone.accuracy, equal_nan=True)
    decays, dropouts = of_scan(data, "weight_decay"), of_scan(data, "dropout")
    assert np.array_equal(
        decays.accuracy.sel(weight_decay=0), dropouts.accuracy.sel(dropout=0), equal_nan=True
    )
    rows = table(data)
    assert len(rows) == 8
    assert {row["corruption"] for row in rows} == {0.0, 0.5}
    assert rows[1]["weight decay"] == 5.0


def test_figures_show_every_scan(scanned: tuple[Path, xr.Dataset]) -> None:
    figure = plot_scans(scanned[1], title="drawn")
    assert len(figure.layout.annotations) == 4  # pyright: ignore[reportAttributeAccessIssue]
    (mean,) = [
        t for t in figure.data
        if t.mode == "lines" and t.name == "test" and (t.xaxis, t.yaxis) == ("x4", "y4")  # pyright: ignore[reportAttributeAccessIssue]
    ]  # fmt: skip
    last = of_scan(scanned[1], "dropout").accuracy.isel(step=-1).sel(subset="test", corruption=0.5)
    assert mean.y == pytest.approx(last.mean("seed").values)  # pyright: ignore[reportAttributeAccessIssue]
    curves = plot_history(scanned[1], "weight_decay", 0.5, title="drawn")
    assert [a.text for a in curves.layout.annotations][:2] == [  # pyright: ignore[reportAttributeAccessIssue]
        "<b>weight decay 0</b>", "<b>weight decay 5</b>",
    ]  # fmt: skip


def test_only_missing_runs_are_trained(
    images: Images, scanned: tuple[Path, xr.Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, configs = scanned[0], SCAN.configs(2)
    trained: list[ImageConfig] = []

    def count(images: Images, config: ImageConfig, **options: Any) -> xr.Dataset:
        trained.append(config)
        return train(images, config, **options)

    monkeypatch.setattr(training, "train", count)
    file_of(out, images, configs[3]).unlink()
    again = compute(SCAN, configs, collect(out, images, configs, progress=False))
    assert trained == [configs[3]]
    xr.testing.assert_equal(again, scanned[1])


def test_results_of_other_settings_or_damaged_are_refused(images: Images, tmp_path: Path) -> None:
    config = SCAN.configs(1)[0]
    collect(tmp_path, images, [config], progress=False)
    longer = dataclasses.replace(config, steps=5)
    with pytest.raises(ValueError, match=r"was made with other settings; choose another folder"):
        collect(tmp_path, images, [longer])
    brighter = dataclasses.replace(images, pixels=images.pixels * 0.5)
    with pytest.raises(ValueError, match=r"was made with other images; choose another folder"):
        collect(tmp_path, brighter, [config])
    file_of(str(tmp_path), images, config).write_bytes(b"no netCDF")
    with pytest.raises(ValueError, match=r"is damaged .*; remove it to train again"):
        collect(tmp_path, images, [config])


def test_images_without_a_split_need_a_number_of_training_images(images: Images) -> None:
    assert scan_of("published", images).base.n_train == 66
    assert scan_of("published", draw_images(own_split=True)).base.n_train is None
    with pytest.raises(ValueError, match="size='big' is unknown"):
        scan_of("big", images)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_layers": 1}, "n_layers must be at least 2, got 1"),
        ({"dropout": 1.0}, r"dropout must lie in \[0.0, 1.0\), got 1.0"),
        ({"corruption": -0.1}, "corruption must lie in"),
    ],
)
def test_settings_are_checked(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        ImageConfig(**wrong)


def test_the_command_trains_what_a_folder_holds(
    tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.analyses.images.test_loading import write_idx

    scan = dataclasses.replace(SCAN, base=dataclasses.replace(SCAN.base, n_train=None))
    monkeypatch.setitem(runs.SCANS, "tiny", scan)
    folder = tmp_path / "mnist"
    folder.mkdir()
    words = ["run", "images", tmp_path / "out", "--size", "tiny", "--seeds", "1"]
    words += ["--images", write_idx(folder), "--json"]
    result = command(*words, "--estimate-only")
    assert result.exit_code == 0, result.output
    ahead = json.loads(result.stdout)
    assert (ahead["runs"], ahead["all_runs"], ahead["steps"]) == (6, 6, 24)
    assert not (tmp_path / "out").exists()
    (told,) = json.loads(command(*words).stdout)
    assert len(told["rows"]) == 8
    assert Path(told["page"]).exists()
    assert json.loads(command(*words, "--estimate-only").stdout)["runs"] == 0


@pytest.mark.parametrize("steps", [1, 2, 200])
def test_an_estimate_grows_with_the_number_of_steps(images: Images, steps: int) -> None:
    short, long = (
        training.seconds(images, dataclasses.replace(CONFIG, steps=n)) for n in (steps, 10**6)
    )
    assert 0 < short < long
