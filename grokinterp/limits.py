"""Upper bounds on the size of a run; a config that would need too much memory or time raises.

The bounds are far above the papers' sizes and the same on every machine, so that a config saved on
one machine can be read on all. The free memory of the machine is checked before training.
"""

MAX_P = 2**12  # the logits of all pairs, [p*p, p] in float32, are 256 GiB at this modulus
MAX_PARAMETERS = 2**30  # weights, gradient, two moments and an update: 20 GiB in float32
MAX_LAYERS = 2**8  # each layer is a tree of modules and hook points
MAX_STEPS = 10**9  # about a day at 0.1 ms per step
MAX_ROWS = 10**6  # rows of a history: each scores all pairs and is kept in memory
MAX_WORDS = 2**7  # tokens of a prompt: the cost of attention grows with their square
MAX_THREADS = 2**10  # threads of one process: each has its own buffers
MAX_EXPRESSION = 1000  # characters of a polynomial: a power may have thousands of digits


def check_parameters(network: str, parameters: int) -> None:
    """Raise if a network has more parameters than can be trained."""
    if parameters > MAX_PARAMETERS:
        raise ValueError(
            f"{network} has {parameters:.2g} parameters, more than the {MAX_PARAMETERS:.2g} that "
            "can be trained; make it narrower or shallower"
        )
