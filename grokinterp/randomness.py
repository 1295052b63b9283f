"""Random numbers that depend on a seed and a purpose, and on nothing else.

Every random choice of a run has its own source. So the split does not change with the
initialisation, a run draws the same numbers alone and in a stack, and the global RNG of the user's
session is never touched.

Numbers drawn once (split, labels, initial weights) come from a :func:`generator`. Numbers drawn at
every step are counter-based: number n of a :func:`stream` is a fixed function of the stream and n,
so it does not depend on the thread, the order, the batching or the device that computes it.
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
_CHUNK = 1 << 14  # normals made at once, few enough for the temporaries to stay in cache


def generator(seed: int, purpose: str) -> torch.Generator:
    """A CPU generator, seeded by a seed and a purpose such as "split" or "init"."""
    return torch.Generator().manual_seed(_digest(seed, purpose) >> 1)


def stream(seed: int, purpose: str, *at: int) -> int:
    """The 64-bit number that identifies a stream: a seed, a purpose, and counters (step, layer...).

    Streams are pieces of one sequence of 2^64 words that start at hashed positions. Among S streams
    of n words, two overlap with probability about S^2 n / 2^64: 1e-6 for a run of 20,000 steps.
    """
    name = _digest(seed, purpose)
    for counter in at:
        name = _mix(name + (counter + 1) * _WEYL)
    return name


class Words:
    """Makes random 64-bit words, in buffers for use by one thread.

    A stream's words are the splitmix64 sequence seeded with the stream's number (Steele, Lea and
    Flood 2014, "Fast splittable pseudorandom number generators", doi:10.1145/2660193.2660195).

    Args:
        size: most words that one :meth:`draw` asks for.
        device: of the buffers.
    """

    def __init__(self, size: int, device: torch.device) -> None:
        counters = torch.arange(1, size + 1, dtype=torch.int64, device=device)
        self._weyl = counters.mul_(_signed(_WEYL))  # int64 products wrap, as wanted here
        self._words, self._shifted = torch.empty_like(self._weyl), torch.empty_like(self._weyl)

    def draw(self, stream: int, start: int, count: int) -> Int[Tensor, " count"]:
        """Words ``start``, ``start + 1``, ... of a stream, as int64 with all 64 bits random.

        The result is a buffer that the next draw overwrites.
        """
        words, shifted = self._words[:count], self._shifted[:count]
        torch.add(self._weyl[:count], _signed(stream + start * _WEYL), out=words)
        for i, shift in enumerate(_SHIFTS):
            # torch's right shift fills with the sign bit; the mask makes it a logical shift
            torch.bitwise_right_shift(words, shift, out=shifted)
            words.bitwise_xor_(shifted.bitwise_and_((1 << (64 - shift)) - 1))
            if i < len(_FACTORS):
                words.mul_(_signed(_FACTORS[i]))
        return words


def fill_normal_(out: Float[Tensor, " n"], stream: int, start: int = 0) -> Float[Tensor, " n"]:
    """Overwrite ``out`` with standard normals ``start``, ``start + 1``, ... of a stream.

    Box-Muller: each word gives sqrt(-2 log u) cos(2 pi v), with u and v its upper and middle 24
    bits. These are exact in float32, so precisions and devices differ by rounding only. They bound
    the normals by 5.77; exact ones would exceed that once in 1e8 draws.
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
    """The mixing step of :meth:`Words.draw`, for one Python integer."""
    word &= _WORD
    for shift, factor in zip(_SHIFTS, (*_FACTORS, 1), strict=True):
        word = (word ^ (word >> shift)) * factor & _WORD
    return word


def _signed(word: int) -> int:
    """The int64 with the same 64 bits."""
    word &= _WORD
    return word - (1 << 64) if word >> 63 else word
