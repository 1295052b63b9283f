"""``grokinterp explore``: the page that it writes, and what it refuses."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
import torch

import grokinterp as gi
from analyses.explorer import write_explorer
from tests.analyses.shell import told


@pytest.fixture(scope="module")
def saved(tiny_run: gi.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run.save(tmp_path_factory.mktemp("saved") / "run")


def test_a_page_that_needs_nothing_else(saved: Path) -> None:
    code, out, _ = told("explore", saved, "--json")
    page = saved / "explorer.html"
    text = page.read_text()
    assert code == 0
    assert json.loads(out) == {"page": str(page), "networks": 2, "bytes": page.stat().st_size}
    assert not re.search(r"<(script|img)[^>]+src=|@import|url\(", text)
    assert re.findall(r'<link[^>]+href="([^"]*)"', text) == ["data:,"]


def test_markup_in_names_is_shown_not_read(tiny_run: gi.Run, tmp_path: Path) -> None:
    write_explorer(tiny_run, tmp_path / "page.html", name="</script><b>bold</b>")
    text = (tmp_path / "page.html").read_text()
    assert "<b>bold" not in text
    assert text.count("</script>") == 4


def test_a_network_without_units_is_refused(tiny_run: gi.Run, tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(22, 8), torch.nn.Tanh(), torch.nn.Linear(8, 11))
    model = gi.wrap(net, p=11, inputs="one-hot")
    data = tiny_run.dataset
    pairs, labels = data.tokens[data.is_train], data.labels[data.is_train]
    run = gi.as_run(model, pairs, labels, operation=gi.Table("own", 11, tuple([0] * 121)))
    with pytest.raises(ValueError, match="lists no units, so there is nothing to switch off"):
        write_explorer(run, tmp_path / "page.html", name="own")
    assert not (tmp_path / "page.html").exists()


def test_a_run_without_any_network_is_refused(tiny_run: gi.Run, tmp_path: Path) -> None:
    nothing = dataclasses.replace(tiny_run, diverged_at=3, provenance={"start": {"step": 5}})
    with pytest.raises(ValueError, match="diverged after 3 of 40 steps, so there is no network"):
        write_explorer(nothing, tmp_path / "page.html", name="gone")


def test_a_store_its_folder_or_a_file_is_a_sweep(tmp_path: Path) -> None:
    config = gi.RunConfig(
        data=gi.DataConfig(p=5), model=gi.MLPConfig(d_mlp=4), training=gi.TrainConfig(steps=1)
    )
    store = tmp_path / "mine" / "sweep.zarr"
    axes = {"training.weight_decay": [0.0, 1.0]}
    sweep = gi.sweep(config, axes, store=store, progress=False, device="cpu")
    sweep.drop_attrs().assign_attrs(base=sweep.attrs["base"]).to_netcdf(tmp_path / "part.nc")
    page = store.with_name("sweep-explorer.html")
    for path in (store, store.parent):
        code, out, _ = told("explore", path, "--json")
        assert code == 0
        found = json.loads(out)
        assert found == {"page": str(page), "runs": 2, "of": 2, "bytes": page.stat().st_size}
        assert "<title>Sweep mine</title>" in page.read_text()
        page.unlink()
    code, out, _ = told("explore", tmp_path / "part.nc")
    assert (code, "2 of 2 runs" in out) == (0, True)
    (store / "final_norm" / "0.0").write_bytes(b"?")
    code, _, err = told("explore", store)
    assert code == 2
    assert "is damaged" in err


@pytest.mark.parametrize(
    ("name", "why"), [("gone", "it does not exist"), ("empty", "no run.json"), ("file", "a file")]
)
def test_neither_a_run_nor_a_sweep(name: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    code, _, err = told("explore", tmp_path / name)
    assert code == 2
    assert "is neither a run nor a sweep" in err
    assert why in err
