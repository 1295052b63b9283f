"""Hooks on somebody else's network: any ``nn.Module`` as a :class:`HookedModel`."""

from collections import Counter
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook
from transformer_lens.hook_points import HookPoint

from grokinterp.frozen import frozen_config
from grokinterp.models.base import HookedModel, count_hooks, evaluated
from grokinterp.models.outputs import first_tensor, with_first_tensor
from grokinterp.models.prompt import Prompt, check_prompt

_TRIED = 7  # sequences of a trial, more than most prompts have positions


@frozen_config
class HookedModuleConfig:
    """What a :class:`HookedModule` knows about its network: how the network is asked."""

    prompt: str = "a b"

    def __post_init__(self) -> None:
        check_prompt(self.prompt)


class HookedModule(HookedModel):
    """Any network that reads token sequences, with a hook point on the output of every submodule.

    ``model(pairs)`` writes the pairs out as the prompt's tokens and returns the network's logits,
    of the last position where it has positions. Nothing of the network is copied or changed, save
    for forward hooks on its submodules; its parameters are ``net.*``.

    Hook points: ``{submodule}.hook_out`` for every submodule that a forward pass calls, named as in
    ``net.named_modules()``; then ``hook_logits`` [batch, classes]. Of an output that is no tensor
    but a tuple, list, dict or dataclass it is the first tensor in it: of ``nn.LSTM`` the last
    layer's states h at every position. A submodule without any tensor in its output has no hook
    point. One that is called several times in one forward pass runs its hooks each time, and a
    cache keeps the last.

    Args:
        net: maps integer tokens [batch, pos] to logits [batch, classes] or [batch, pos, classes].
        p: the modulus: the residues 0..p-1 are the first tokens and the first classes.
        prompt: the template of a sequence, see :class:`~grokinterp.models.prompt.Prompt`.

    Raises:
        ValueError: if ``net`` cannot read the prompt's tokens or gives something else.

    Examples:
        >>> import grokinterp as gi
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Embedding(13, 8), nn.Flatten(), nn.Linear(16, 13))
        >>> model = gi.HookedModule(net, p=13)
        >>> list(model.hook_dict)
        ['0.hook_out', '1.hook_out', '2.hook_out', 'hook_logits']
    """

    cfg: HookedModuleConfig
    p: int
    config_class = HookedModuleConfig

    def __init__(self, net: nn.Module, *, p: int, prompt: str = "a b") -> None:
        super().__init__(HookedModuleConfig(prompt=prompt), p=p)
        self.prompt = Prompt(prompt, p)
        self._take(net)

    def _take(self, net: nn.Module) -> None:
        """Put hook points on the network's submodules, once it is seen to answer."""
        if not isinstance(net, nn.Module):
            raise TypeError(f"net must be a torch.nn.Module, got {type(net).__name__}")
        self.net = net
        # Outside the network: one more child would change what a Sequential or ModuleList does.
        called = self._try()
        points = {f"{name}.hook_out": (HookPoint(), module) for name, module in called.items()}
        for point, module in points.values():
            # A partial, so that copies of the model get hooks on points of their own.
            module.register_forward_hook(partial(through, point))
        self.hook_logits = HookPoint()
        self.hook_dict = {name: point for name, (point, _) in points.items()}
        self.hook_dict["hook_logits"] = self.hook_logits
        self._own_hooks = self._n_hooks()
        self.setup()

    def setup(self) -> None:
        """Name the hook points; the network's own modules are not touched."""
        for name, point in self.hook_dict.items():
            point.name = name
        self.mod_dict = dict(self.hook_dict)

    def logits(self, tokens: Int[Tensor, "batch 2"]) -> Float[Tensor, "batch classes"]:
        """The forward pass without token validation, which ``torch.vmap`` cannot run."""
        return self.hook_logits(self._answers(self.net(self._inputs(tokens))))

    def _inputs(self, pairs: Int[Tensor, "batch 2"]) -> Any:
        """What the network is given for some pairs."""
        return self.prompt.tokens(pairs)

    def _answers(self, out: Tensor) -> Float[Tensor, "batch classes"]:
        """The logits in what it returns."""
        return out if out.ndim == 2 else out[:, -1]

    @property
    def _asked(self) -> tuple[str, str]:
        """What it is given, and how to go on if it cannot read that, for errors."""
        asked = f"prompt={self.cfg.prompt!r} at p={self.p} (tokens 0..{self.prompt.d_vocab - 1})"
        fits = "Its vocabulary and context must hold them"
        return asked, f"{fits}; choose p and prompt as the network was trained"

    @property
    def description(self) -> str:
        """The class of the network that it wraps."""
        return type(self.net).__name__

    @property
    def is_hooked(self) -> bool:
        """Whether anything looks at activations, at a hook point or by a hook of torch's."""
        return self._n_hooks() != self._own_hooks or bool(_has_any_global_hook())

    def _n_hooks(self) -> int:
        """Hooks that look at activations: all but those of wrappers at whose points nobody does."""
        hooks = chain.from_iterable(map(hooks_of, self.net.modules()))
        points = [hook.args[0] if is_of_wrapper(hook) else None for hook in hooks]
        others = {point for point in points if point is not None} - set(self.hook_points())
        return points.count(None) + count_hooks(self.hook_points()) + count_hooks(others)

    def _why_no_hook(self, name: str) -> str:
        module = name.removesuffix(".hook_out")
        if module and module in dict(self.net.named_modules()):
            return (
                f"{module} is a submodule, but a forward pass does not call it or its output holds "
                "no tensor. "
            )
        return ""

    def _try(self) -> dict[str, nn.Module]:
        """Submodules with a tensor in their output, in the order of their first calls.

        Raises unless these become logits. In evaluation mode: no statistics move, no RNG draws.
        """
        device = next((weight.device for weight in self.net.parameters()), None)
        residues = torch.linspace(0, self.p - 1, _TRIED, device=device).round().long()
        given = self._inputs(residues[:, None].expand(-1, 2))
        what, (asked, remedy) = type(self.net).__name__, self._asked
        called: dict[str, nn.Module] = {}
        self._calls: Counter[str] = Counter()  # of each submodule in one forward pass
        handles = [
            module.register_forward_hook(partial(_note, called, self._calls, name))
            for name, module in self.net.named_modules()
            if name
        ]
        try:
            with torch.no_grad(), evaluated(self.net):
                out = self.net(given)
        except Exception as error:
            raise ValueError(f"{what} failed on {asked}: {error!r}. {remedy}") from error
        finally:
            for handle in handles:
                handle.remove()
        if not isinstance(out, Tensor) or out.ndim not in (2, 3) or len(out) != _TRIED:
            got = list(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise ValueError(
                f"{what} must give logits [batch, classes] or [batch, pos, classes]; "
                f"{_TRIED} sequences of {asked} gave {got}. Wrap it in a module that does"
            )
        if out.shape[-1] < self.p:
            raise ValueError(
                f"{what} has {out.shape[-1]} classes, fewer than p={self.p}; the first p must be "
                "the residues"
            )
        return called

    def _save_pretrained(self, save_directory: Path) -> NoReturn:
        raise NotImplementedError(
            f"JSON cannot rebuild a {type(self.net).__name__}; save the weights alone, with "
            "safetensors.torch.save_model(model.net, file), and wrap the network again after "
            "safetensors.torch.load_model"
        )

    @classmethod
    def from_pretrained(cls, *_: Any, **__: Any) -> NoReturn:
        """Refused: what the network is was never saved."""
        raise NotImplementedError(
            "a HookedModule is not rebuilt from files: load your network, then HookedModule(net)"
        )


def _note(
    called: dict[str, nn.Module],
    calls: Counter[str],
    name: str,
    module: nn.Module,
    inputs: Any,
    output: object,
) -> None:
    if first_tensor(output) is not None:
        called[name] = module
        calls[name] += 1


def through(point: HookPoint, module: nn.Module, inputs: Any, output: object) -> object:
    """The output with its first tensor sent through a hook point; None for no change."""
    first = first_tensor(output)
    seen = None if first is None else _seen(point, first)
    return None if seen is None else with_first_tensor(output, seen)


def before(point: HookPoint, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """A module's inputs with the first sent through a hook point; None for no change."""
    seen = _seen(point, inputs[0])
    return None if seen is None else (seen, *inputs[1:])


def _seen(point: HookPoint, activation: Tensor) -> Tensor | None:
    """What a hook point makes of an activation; None for no change.

    A copy of it, so that what hooks keep stays as it was if the network goes on in place.
    """
    seen = point(activation)
    return None if seen is activation and not count_hooks([point]) else seen.clone()


def is_of_wrapper(hook: object) -> bool:
    """Whether a hook of torch's sends activations through a hook point, its first argument."""
    return isinstance(hook, partial) and hook.func in (through, before)


def hooks_of(module: nn.Module) -> list[Any]:
    """All hooks of torch's that a module has."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [hook for kind in kinds for hook in getattr(module, kind).values()]
