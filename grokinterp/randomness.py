"""Random numbers that depend on a seed and a purpose, and on nothing else.

Every random choice of a run draws from a source of its own, so that the split does not move when
the initialisation changes, a run in a stack draws what it draws alone, and the global RNG of the
user's session is never touched.

What is drawn once (split, labels, initial weights) comes from a :func:`generator`. What is drawn at
every step comes from counters: number n of a stream is a fixed function of the stream and n, so it
does not matter who computes it, in which order, in which pieces or on which device.
"""

import hashlib
import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

_WORD = (1 << 64) - 1
_WEYL = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: consecutive counters land far apart
_FACTORS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_SHIFTS = (30, 27, 31)
_CHUNK = 1 << 14  # normals made at once: their temporaries stay in cache


def generator(seed: int, purpose: str) -> torch.Generator:
    """A CPU generator for one purpose ("split", "init", ...) of one seed."""
    return torch.Generator().manual_seed(_digest(seed, purpose) >> 1)


def stream(seed: int, purpose: str, *at: int) -> int:
    """The 64-bit number that names a stream: a purpose of a seed, at a step, a layer, ...

    Streams are stretches of one sequence of 2^64 words, starting at hashed places. With S streams
    of n words, two overlap with probability about S^2 n / 2^64: 1e-6 for a run of 20,000 steps.
    """
    name = _digest(seed, purpose)
    for counter in at:
        name = _mix(name + (counter + 1) * _WEYL)
    return name


class Words:
    """Buffers in which random 64-bit words are made, for one thread.

    The words of a stream are the sequence of splitmix64 seeded with it (Steele, Lea and Flood 2014,
    "Fast splittable pseudorandom number generators", doi:10.1145/2660193.2660195).

    Args:
        size: most words that are asked for at once.
        device: where the buffers live.
    """

    def __init__(self, size: int, device: torch.device) -> None:
        counters = torch.arange(1, size + 1, dtype=torch.int64, device=device)
        self._weyl = counters.mul_(_signed(_WEYL))  # int64 products wrap, as they should here
        self._words, self._shifted = torch.empty_like(self._weyl), torch.empty_like(self._weyl)

    def draw(self, stream: int, start: int, count: int) -> Int[Tensor, " count"]:
        """Words ``start``, ``start + 1``, ... of a stream, in a buffer that the next draw reuses.

        As int64, all 64 bits random.
        """
        words, shifted = self._words[:count], self._shifted[:count]
        torch.add(self._weyl[:count], _signed(stream + start * _WEYL), out=words)
        for i, shift in enumerate(_SHIFTS):
            # torch shifts the sign in from the left; a logical shift brings zeros
            torch.bitwise_right_shift(words, shift, out=shifted)
            words.bitwise_xor_(shifted.bitwise_and_((1 << (64 - shift)) - 1))
            if i < len(_FACTORS):
                words.mul_(_signed(_FACTORS[i]))
        return words


def fill_normal_(out: Float[Tensor, " n"], stream: int, start: int = 0) -> Float[Tensor, " n"]:
    """Overwrite ``out`` with standard normals ``start``, ``start + 1``, ... of a stream.

    Box-Muller: each is sqrt(-2 log u) cos(2 pi v) of one word, with u and v its upper and middle 24
    bits. Those are exact in float32, so that precisions and devices differ by rounding only; they
    bound the normals by 5.77, which one in 1e8 should exceed.
    """
    words = Words(min(_CHUNK, len(out)), out.device)
    for first in range(0, len(out), _CHUNK):
        piece = out[first : first + _CHUNK]
        drawn = words.draw(stream, start + first, len(piece))
        angle = ((drawn >> 16) & 0xFFFFFF).to(out.dtype).mul_(2 * math.pi / 2**24)
        upper = ((drawn >> 40) & 0xFFFFFF).add_(1)  # 1 .. 2^24: the logarithm is finite
        piece.copy_(upper).mul_(2.0**-24).log_().mul_(-2).sqrt_().mul_(angle.cos_())
    return out


def _digest(seed: int, purpose: str) -> int:
    digest = hashlib.blake2b(f"{purpose}:{seed}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _mix(word: int) -> int:
    """What :meth:`Words.draw` does to a word, for one Python integer."""
    word &= _WORD
    for shift, factor in zip(_SHIFTS, (*_FACTORS, 1), strict=True):
        word = (word ^ (word >> shift)) * factor & _WORD
    return word


def _signed(word: int) -> int:
    """The int64 with the same 64 bits."""
    word &= _WORD
    return word - (1 << 64) if word >> 63 else word
