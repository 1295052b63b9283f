"""Saving and loading networks in the Hugging Face Hub's format: a config and its weights."""

import dataclasses
import json
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from huggingface_hub import ModelHubMixin, hf_hub_download
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformer_lens import HookedRootModule

from grokinterp.checks import check_choice, check_text
from grokinterp.models.budget import NotFarLarger
from grokinterp.session import unaffected
from grokinterp.tasks import Operation

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
Saved = TypeVar("Saved", bound="OnTheHub")


class OnTheHub(HookedRootModule, ModelHubMixin):
    """Gives a network ``save_pretrained``, ``push_to_hub`` and ``from_pretrained``.

    Subclasses are built as ``Model(config, p=...)``.
    """

    config_class: ClassVar[type]
    operation: Operation | None = None
    cfg: Any
    p: Any

    def adopt(self, state: dict[str, Tensor]) -> None:
        """Load trained weights, convert to their dtype, and switch to evaluation mode.

        Examples:
            >>> import grokinterp as gi
            >>> import torch
            >>> solution = gi.closed_form_mlp(p=13, d_mlp=60)
            >>> model = gi.HookedMLP(solution.cfg, p=13)
            >>> model.adopt(solution.state_dict())
            >>> model.training, torch.equal(model.W_U, solution.W_U)
            (False, True)
        """
        dtypes = (weight.dtype for weight in state.values() if weight.is_floating_point())
        self.to(next(dtypes, torch.float32)).load_state_dict(state)
        self.eval()

    # Called by huggingface_hub's save_pretrained and push_to_hub.
    def _save_pretrained(self, save_directory: Path) -> None:
        plain = {"class": type(self).__name__, "p": self.p, "config": dataclasses.asdict(self.cfg)}
        plain["operation"] = self.operation if isinstance(self.operation, str) else None
        (save_directory / CONFIG_FILE).write_text(json.dumps(plain, indent=2) + "\n")
        state = {name: w.detach().contiguous() for name, w in self.state_dict().items()}
        save_file(state, save_directory / WEIGHTS_FILE)

    # Replaces huggingface_hub's, which fails on a bad config without naming what is wrong.
    @classmethod
    @unaffected()
    def from_pretrained(  # pyright: ignore[reportIncompatibleMethodOverride]  # no model_kwargs
        cls: "type[Saved]",
        pretrained_model_name_or_path: str | Path,
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
    ) -> "Saved":
        """Load a network that ``save_pretrained`` or ``push_to_hub`` wrote, in evaluation mode.

        Args:
            pretrained_model_name_or_path: a folder, or a repository "owner/name" on the Hub.
            force_download: download again what is already cached.
            token: access token for private repositories.
            cache_dir: folder for downloads.
            local_files_only: use the cache only.
            revision: a branch, tag or commit.

        Raises:
            FileNotFoundError: the folder lacks a file.
            ValueError: a file is corrupted, it holds another class, or its tensors do not fit.

        Examples:
            >>> import grokinterp as gi
            >>> import torch
            >>> model = gi.closed_form_mlp(p=13, d_mlp=60)
            >>> model.save_pretrained("solution")
            >>> again = gi.HookedMLP.from_pretrained("solution")
            >>> again.p, again.operation, torch.equal(again.W_U, model.W_U)
            (13, 'addition', True)
        """
        model_id = str(pretrained_model_name_or_path)
        folder = Path(model_id)
        if folder.is_dir():
            files = [folder / name for name in (CONFIG_FILE, WEIGHTS_FILE)]
            if missing := [file for file in files if not file.is_file()]:
                raise FileNotFoundError(f"{missing[0]} is missing; {folder} holds no saved model")
        else:
            how: dict[str, Any] = {"revision": revision, "cache_dir": cache_dir, "token": token}
            how |= {"force_download": force_download, "local_files_only": local_files_only}
            names = (CONFIG_FILE, WEIGHTS_FILE)
            files = [Path(hf_hub_download(model_id, name, **how)) for name in names]
        try:
            plain = json.loads(files[0].read_text())
            saved, fields, p = plain["class"], dict(plain["config"]), plain["p"]
            operation = plain.get("operation")
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"{files[0]} is not a saved config: {error!r}") from error
        check_choice(f"class in {files[0]}", saved, [cls.__name__])
        for name in fields:
            known = [field.name for field in dataclasses.fields(cls.config_class)]
            check_choice(f"config field in {files[0]}", name, known)
        if operation is not None:
            check_text(f"operation in {files[0]}", operation, example="addition")
        try:
            state = load_file(files[1])
        except SafetensorError as error:
            raise ValueError(f"{files[1]} is not a readable safetensors file: {error}") from error
        with NotFarLarger(weight.shape for weight in state.values()):
            model = cls(cls.config_class(**fields), p=p)  # pyright: ignore[reportCallIssue]
        model.adopt(state)
        model.operation = operation
        return model
