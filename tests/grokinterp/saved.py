"""What a saved run without checkpoints consists of."""

from pathlib import Path

FILES = ["dataset.safetensors", "history.nc", "model.safetensors", "run.json"]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}
