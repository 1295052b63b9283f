"""Interventions on activations: hooks that ablate, scale or patch parts of a network.

Each returns the ``fwd_hooks`` list that TransformerLens' ``run_with_hooks`` and ``hooks`` take::

    logits = model.run_with_hooks(tokens, fwd_hooks=ablate([3, 7]))
    with model.hooks(fwd_hooks=scale(ipr > 0.5, 2.0, layer=1)):
        logits = model(tokens)

Arguments are copied when the hook is made, so changing a mask, list or cache later has no effect.
"""

from grokinterp.interventions.ablation import ablate, ablate_heads, scale
from grokinterp.interventions.chosen import FwdHooks, highest, lowest
from grokinterp.interventions.frequencies import ABLATIONS
from grokinterp.interventions.patching import patch

__all__ = ["ABLATIONS", "FwdHooks", "ablate", "ablate_heads", "highest", "lowest", "patch", "scale"]
