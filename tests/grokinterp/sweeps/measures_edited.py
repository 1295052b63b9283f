"""Sources of measures before and after an edit: one that counts, or one that does not."""

from typing import Any


def defined(source: str, name: str = "user") -> Any:
    """The function ``f`` of a module with this source."""
    module: dict[str, Any] = {"__name__": name}
    exec(compile(source, "<user>", "exec"), module)
    return module["f"]


# Measures before and after an edit: what stands between dollar signs is one, then the other.
EDITS = """
## itself
def f(run): return $1|2$

## a helper
def helper(run): return $1.|2.$
def f(run): return helper(run)

## a helper's helper
def deep(run): return $1.|2.$
def helper(run): return deep(run)
def f(run): return helper(run)

## a helper that is handed on
def helper(run): return $1|2$
def f(run): return list(map(helper, [run]))

## a global number
SCALE = $1.|2.$
def f(run): return SCALE

## a global list
SCALE = [1, [$2|3$]]
def f(run): return SCALE[0]

## a helper's global
SCALE = $1|2$
def g(run): return SCALE
def f(run): return g(run)

## a global that shadows a builtin
$max|min$ = lambda a: a
def f(run): return max(run)

## a global object
class Settings: pass
S = Settings()
S.scale = $1|2$
def f(run): return S.scale

## an import under a name
from numpy import $mean|median$ as m
def f(run): return m(run)

## an attribute of a package
import numpy
def f(run): return numpy.$mean|median$(run)

## an import inside
def f(run):
    from math import $sin|cos$ as g
    return g(run)

## an enclosed number
def make(k): return lambda run: k
f = make($1|2$)

## an enclosed number with an attribute's name
def make(k):
    def f(run):
        run.k = k
        return run
    return f
f = make($1|2$)

## an enclosed list
def make(k): return lambda run: k
f = make([1, $2|3$])

## an enclosed dict
def make(k): return lambda run: k
f = make(dict(a=$2|3$))

## an enclosed set
def make(k): return lambda run: k
f = make(set((1, $2|3$)))

## an enclosed array
import numpy as np
def make(k): return lambda run: k
k = np.zeros(3001)
k[1500] = $1|2$
f = make(k)

## an enclosed tensor
import torch
def make(k): return lambda run: k
k = torch.zeros(3001)
k[1500] = $1|2$
f = make(k)

## an enclosed function
def make(g): return lambda run: g(run)
f = make(lambda run: run * $1|2$)

## the middle of an array in a partial
import functools, numpy as np
def g(run, k): return k
k = np.zeros(3001)
k[1500] = $1|2$
f = functools.partial(g, k=k)

## a partial's function
import functools
def g(run, k): return $k|-k$
f = functools.partial(g, k=1)

## a default
def f(run, k=$1|2$): return k

## which default
def f(run, a=$1, b=2|2, b=1$): return a - b

## a keyword-only default
def f(run, *, k=$1|2$): return k

## a keyword-only default of a helper
def g(run, *, k=$1|2$): return k
def f(run): return g(run)

## a default that is an array
import numpy
def f(run, k=numpy.array([$1|2$])): return k

## an attribute of a callable object
class C:
    def __init__(self, k): self.k = k
    def __call__(self, run): return self.k
f = C($1|2$)

## an attribute's attribute
class C:
    def __call__(self, run): return self.of.k
class D: pass
f = C()
f.of = D()
f.of.k = $1|2$

## an attribute in a slot
class C:
    __slots__ = ('k',)
    def __call__(self, run): return self.k
f = C()
f.k = $1|2$

## a method of a callable object
class C:
    def g(self, run): return $1|2$
    def __call__(self, run): return self.g(run)
f = C()

## a base class
class B:
    def __call__(self, run): return $1|2$
class C(B): pass
f = C()

## an attribute of a class
class C:
    k = $1|2$
    def __call__(self, run): return self.k
f = C()

## a property
class C:
    @property
    def k(self): return $1|2$
    def __call__(self, run): return self.k
f = C()

## a static method
class C:
    @staticmethod
    def k(): return $1|2$
    def __call__(self, run): return self.k()
f = C()

## a list with attributes
class C(list):
    def __call__(self, run): return self[0]
f = C([$1|2$])

## the object of a method
class C:
    def __init__(self, k): self.k = k
    def g(self, run): return self.k
f = C($1|2$).g

## the object of a builtin method
f = [$1|2$].__getitem__

## a class as a measure
class f:
    def __init__(self, run): self.k = $1|2$

## a nested lambda
def f(run): return sorted(run, key=lambda row: row[$0|1$])

## a comprehension
def f(run): return [x * $2|3$ for x in run]

## a helper in a comprehension
def g(x): return $1|2$
def f(run): return [g(x) for x in run]

## a nested class
def f(run):
    class C:
        k = $1|2$
    return C.k

## a decorator's argument
import functools
def scaled(by):
    def around(g):
        @functools.wraps(g)
        def inner(run): return by * g(run)
        return inner
    return around
@scaled($1|2$)
def f(run): return 1

## a decorated function
import functools
@functools.cache
def f(run): return $1|2$

## under a package's decorator
import torch
@torch.no_grad()
def f(run): return $1|2$

## a function's attribute
def f(run): return f.k
f.k = $1|2$

## an enumeration
import enum
class E(enum.Enum):
    A = $1|2$
def f(run): return E.A.value

## a dataclass
from dataclasses import dataclass
@dataclass(frozen=True)
class C:
    k: int = $1|2$
    def __call__(self, run): return self.k
f = C()

## a regular expression
import re
P = re.compile('$a|b$')
def f(run): return P.match(run)

## the type of a number
K = $1|1.0$
def f(run): return K

## the order of a list
K = [$1, 2|2, 1$]
def f(run): return K[0]

## an operation
def f(run): return run $+|-$ 1

## what error is caught
def f(run):
    for i in run:
        try: i()
        except $ValueError|KeyError$: pass
    return 1

## two that call each other
def f(run): return g(run - 1) if run else $1|2$
def g(run): return f(run - 1)

## a set of functions that holds itself
def g(run): return $1|2$
S = set()
def f(run): return S
S |= set((f, g))

## a package's object around a function
import numpy
def g(x): return $1|2$
f = numpy.vectorize(g)
"""


def edits() -> dict[str, tuple[str, str]]:
    found = {}
    for block in EDITS.split("\n## ")[1:]:
        name, source = block.split("\n", maxsplit=1)
        start, edit, end = source.split("$")
        before, after = edit.split("|")
        found[name] = (start + before + end, start + after + end)
    return found


# Measures that are the same: what stands before and after the dashes.
SAME = """
## a comment
def f(run): return 1
--
def f(run):
    # one
    return 1

## a docstring
def f(run): return [run, 300, None]
--
def f(run):
    '''The answer.'''
    return [run, 300, None]

## a docstring of a method
class C:
    def __call__(self, run): return 1
f = C()
--
class C:
    '''A measure.'''
    def __call__(self, run):
        '''Of a run.'''
        return 1
f = C()

## an annotation
def f(run): return 1
--
def f(run: int) -> "float": return 1

## a helper that is not called
def f(run): return 1
--
def g(run): return 1
def f(run): return 1

## the order of a set
S = {"a", "b"}
def f(run): return S
--
S = {"b", "a"}
def f(run): return S

## where a nested class stands
def f(run):
    class C: k = 1
    return C
--


def f(run):

    class C: k = 1
    return C
"""


def pairs() -> dict[str, tuple[str, str]]:
    found = {}
    for block in SAME.split("\n## ")[1:]:
        name, sources = block.split("\n", maxsplit=1)
        one, other = sources.split("--\n")
        found[name] = (one, other)
    return found
