"""How large a run may be: what would need more memory or time than there is, is refused at once.

The bounds are far above what these questions need, and the same on every machine, so that a config
that one has saved can be read by all. What the machine at hand has is looked at before training.
"""

MAX_P = 2**12  # the logits of all pairs, [p*p, p] in float32, are 256 GiB at this modulus
MAX_PARAMETERS = 2**30  # weights, gradient, two moments and an update: 20 GiB in float32
MAX_LAYERS = 2**8  # each is a tree of modules and hook points
MAX_STEPS = 10**9  # a day or so at 0.1 ms each
MAX_ROWS = 10**6  # of a history: each scores all pairs, and is kept in memory
MAX_WORDS = 2**7  # of a prompt: attention looks from every one at every one
MAX_THREADS = 2**10  # of one process; each has buffers of its own
MAX_EXPRESSION = 1000  # characters of a polynomial: a power may have thousands of digits


def check_parameters(network: str, parameters: int) -> None:
    """Raise unless a network of so many parameters can be trained."""
    if parameters > MAX_PARAMETERS:
        raise ValueError(
            f"{network} has {parameters:.2g} parameters, more than the {MAX_PARAMETERS:.2g} that "
            "can be trained; make it narrower or shallower"
        )
