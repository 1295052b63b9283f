"""A run's folder: what comes back, and which folders are refused."""

import dataclasses
import io
import json
import pickle
import pickletools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import grokinterp as gi
from tests.grokinterp.saved import FILES, contents


@pytest.fixture(params=["tiny_run", "odd_run", "unfinished_run", "diverged_run"])
def run(request: pytest.FixtureRequest) -> gi.Run:
    return request.getfixturevalue(request.param)


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def test_everything_comes_back(run: gi.Run, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder"
    assert run.save(path) == path
    again = gi.Run.load(path)
    assert again.config == run.config
    assert again.diverged_at == run.diverged_at
    assert again.interrupted_at == run.interrupted_at
    assert repr(again) == repr(run)
    assert again.provenance == run.provenance

    before, after = run.model.state_dict(), again.model.state_dict()
    assert list(before) == list(after)
    for name, weight in before.items():
        assert after[name].dtype == weight.dtype
        assert torch.equal(after[name], weight)
    tokens = run.dataset.tokens
    logits = run.model(tokens)  # NaN and infinity of a diverged run too
    torch.testing.assert_close(again.model(tokens), logits, rtol=0, atol=0, equal_nan=True)

    for field in dataclasses.fields(gi.Dataset):
        kept, loaded = getattr(run.dataset, field.name), getattr(again.dataset, field.name)
        assert loaded.dtype == kept.dtype
        assert torch.equal(loaded, kept)
    assert torch.equal(again.dataset.masks["unchanged"], run.dataset.masks["unchanged"])

    xr.testing.assert_identical(again.history, run.history)
    for name in run.history.variables:
        assert again.history[name].dtype.kind == run.history[name].dtype.kind


def test_a_run_says_how_it_ended(
    tiny_run: gi.Run, unfinished_run: gi.Run, diverged_run: gi.Run
) -> None:
    assert (tiny_run.ended, tiny_run.ending) == (True, "40 steps")
    assert not unfinished_run.ended
    assert unfinished_run.ending == "unfinished: interrupted after 3 of 20 steps"
    assert "interrupted_at=3" in repr(unfinished_run)
    assert "interrupted_at" not in repr(tiny_run)
    assert not diverged_run.ended
    assert diverged_run.ending == "diverged after 1 of 5 steps"


def test_history_stands_on_its_own(folder: Path, tiny_run: gi.Run) -> None:
    """Loaded into memory: the folder may go, and the file is not held open."""
    history = gi.Run.load(folder).history
    shutil.rmtree(folder)
    assert float(history["train_loss"][-1]) == float(tiny_run.history["train_loss"][-1])


def test_loaded_run_can_be_hooked_and_saved_again(folder: Path, tmp_path: Path) -> None:
    again = gi.Run.load(folder)
    tokens = again.dataset.tokens
    _, cache = again.model.run_with_cache(tokens)
    assert cache["layers.0.hook_post"].shape == (len(tokens), again.config.model.d_mlp)
    silent = again.model.run_with_hooks(tokens, fwd_hooks=gi.ablate(range(16)))
    assert not silent.any()
    copy = contents(again.save(tmp_path / "copy"))
    original = contents(folder)
    assert copy["model.safetensors"] == original["model.safetensors"]
    assert copy["dataset.safetensors"] == original["dataset.safetensors"]


def test_path_may_be_a_string(tiny_run: gi.Run, tmp_path: Path) -> None:
    path = str(tmp_path / "run")
    assert tiny_run.save(path) == Path(path)
    assert gi.Run.load(path).config == tiny_run.config


def test_saving_only_reads_the_run(tiny_run: gi.Run, tmp_path: Path) -> None:
    kept = {name: weight.clone() for name, weight in tiny_run.model.state_dict().items()}
    history = tiny_run.history.copy(deep=True)
    tiny_run.save(tmp_path / "run")
    for name, weight in tiny_run.model.state_dict().items():
        assert torch.equal(weight, kept[name])
    xr.testing.assert_identical(tiny_run.history, history)


# What is in the folder: three open formats, and nothing that runs.


def test_files_are_json_safetensors_and_hdf5(folder: Path, tiny_run: gi.Run) -> None:
    """Read without the library: the header of a safetensors file is a length and JSON."""
    files = contents(folder)
    assert sorted(files) == sorted(FILES)
    for name in ("model.safetensors", "dataset.safetensors"):
        length = int.from_bytes(files[name][:8], "little")
        header = json.loads(files[name][8 : 8 + length])
        if name == "model.safetensors":
            begin, end = header["W_U"]["data_offsets"]
            assert header["W_U"]["dtype"] == "F32"
            raw = np.frombuffer(files[name][8 + length :][begin:end], dtype="<f4")
            assert raw.tolist() == tiny_run.model.W_U.detach().flatten().tolist()
    assert files["history.nc"].startswith(b"\x89HDF\r\n\x1a\n")
    about = read(folder)
    assert about["format"] == 3
    assert about["config"]["data"]["corruption"] == 0.3
    assert about["provenance"]["versions"]["torch"] == torch.__version__


def test_nothing_is_pickled(tiny_run: gi.Run, tmp_path: Path, monkeypatch: Any) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a pickle was written or read")

    for module in (pickle, torch):
        monkeypatch.setattr(module, "load", refuse)
    for name in ("loads", "dump", "dumps", "Unpickler", "Pickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(torch, "save", refuse)
    folder = tiny_run.save(tmp_path / "run")
    gi.Run.load(folder)
    for data in contents(folder).values():
        with pytest.raises(ValueError, match=r"opcode|pickle|exhausted"):
            pickletools.dis(data, out=io.StringIO())


# Refusals when loading.


def test_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(gi.RunFolderError, match=r"not a run folder \(it does not exist\)") as error:
        gi.Run.load(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in str(error.value)


def test_folder_that_holds_no_run(tmp_path: Path) -> None:
    with pytest.raises(gi.RunFolderError, match=r"run\.json is missing; .* is not a run folder$"):
        gi.Run.load(tmp_path)
    (tmp_path / "file").write_text("")
    not_a_file = "is not a run folder; give the folder, not a file in it$"
    with pytest.raises(gi.RunFolderError, match=not_a_file):
        gi.Run.load(tmp_path / "file")
    (tmp_path / ".zattrs").write_text("{}")
    with pytest.raises(
        gi.RunFolderError, match=r"is not a run folder; gi.open_sweep reads a sweep$"
    ):
        gi.Run.load(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(gi.RunFolderError, match="is missing") as caught:
        gi.Run.load(folder)
    assert str(folder / name) in str(caught.value)


@pytest.mark.parametrize("keep", ["nothing", "half", "all but a byte"])
@pytest.mark.parametrize("name", FILES)
def test_truncated_file_is_named(name: str, keep: str, folder: Path) -> None:
    data = (folder / name).read_bytes().rstrip()  # JSON without its last newline is still whole
    size = {"nothing": 0, "half": len(data) // 2, "all but a byte": len(data) - 1}[keep]
    (folder / name).write_bytes(data[:size])
    with pytest.raises(gi.RunFolderError, match="is truncated") as caught:
        gi.Run.load(folder)
    assert str(folder / name) in str(caught.value)


@pytest.mark.parametrize("name", [name for name in FILES if name != "run.json"])
def test_altered_byte_is_noticed(name: str, folder: Path) -> None:
    data = bytearray((folder / name).read_bytes())
    data[-1] ^= 1  # the file still parses
    (folder / name).write_bytes(data)
    with pytest.raises(gi.RunFolderError, match="truncated or was altered: its checksum") as caught:
        gi.Run.load(folder)
    assert str(folder / name) in str(caught.value)


def test_newer_format_asks_for_an_upgrade(folder: Path) -> None:
    """Whatever else a newer format changes: the format is looked at first."""
    (folder / "run.json").write_text(json.dumps({"format": 1000, "settings": []}))
    with pytest.raises(
        gi.RunFolderError,
        match=r"has format 1000, but this grokinterp reads formats up to 3; upgrade",
    ):
        gi.Run.load(folder)


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": "one"}', "null", "3"])
def test_json_of_something_else_is_refused(text: str, folder: Path) -> None:
    (folder / "run.json").write_text(text)
    with pytest.raises(gi.RunFolderError, match="has no valid format; it was not written by grok"):
        gi.Run.load(folder)


def test_json_that_is_no_text_is_refused(folder: Path) -> None:
    (folder / "run.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(gi.RunFolderError, match="is truncated or not JSON"):
        gi.Run.load(folder)
