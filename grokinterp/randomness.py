"""Random numbers that depend on a seed and a purpose, and on nothing else.

Every random choice of a run draws from a generator of its own, so that the split does not move
when the initialisation changes, a run in a stack draws what it draws alone, and the global RNG of
the user's session is never touched.
"""

import hashlib

import torch


def generator(seed: int, purpose: str) -> torch.Generator:
    """A CPU generator for one purpose ("split", "init", ...) of one seed."""
    digest = hashlib.blake2b(f"{purpose}:{seed}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)
