"""What attends to what when a transformer reads many pairs, with each prefix computed once.

In front of the first layer a row of the residual stream depends on its token and position alone.
Behind it, it depends on the operands that its position has seen: with a causal mask, pairs with the
same first operand share all rows before the second operand. Attention then runs along edges, each
from an output row to the row of one of its keys. With p = 97 and 512 pairs the rows are

    prompt "a b ="                  a     b     =
    in front of the first layer    97    97     1
    behind a layer, causal         97   512   512
    behind a layer, bidirectional 512   512   512
    behind the last layer           0     0   512

Several runs have as many rows each; rows, keys, queries, bags and edges are numbered through all
runs, one run after the other.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.models.prompt import Prompt
from grokinterp.short_text import short_repr

# Gathers rows and takes their dot products in one pass over memory.
_dots = torch.ops.aten._embedding_bag_per_sample_weights_backward

_KEPT = 4  # numbers of pairs whose plans are kept

_SINGLE, _PAIR = -1, 2  # contents of a position besides the operands 0 and 1


@short_repr
@dataclass(frozen=True, eq=False)
class Edges:
    """The edges of one layer's attention for some pairs of each run.

    A "key" is one head of one input row: number ``row * heads + head``. So is a "query", of the
    input rows from ``start`` on, and a "bag", of the output rows. The edges of a bag follow each
    other. All numbers are int32.
    """

    runs: int
    heads: int
    start: int  # a run's first input row that is a query
    # The query row of each output row; None: they are the same.
    queries: Int[Tensor, " output"] | None
    keys: Int[Tensor, " edge"]
    query_of: Int[Tensor, " edge"] | None  # None: there is a single query row in a run
    bag_of: Int[Tensor, " edge"]
    firsts: Int[Tensor, " bag"]  # the first edge of each bag
    groups: tuple[tuple[slice, int], ...]  # a run's edges of bags of one size, and that size
    # Each run's edges sorted by head and key row, the first of each, their queries and their bags.
    by_key: Int[Tensor, " edge"]
    firsts_by_key: Int[Tensor, " key"]
    queries_by_key: Int[Tensor, " edge"] | None
    bags_by_key: Int[Tensor, " edge"]

    def continued(self, x: Float[Tensor, "run input d"]) -> Float[Tensor, "run output d"]:
        """The input row that each output row continues."""
        x = x[:, self.start :]
        if self.queries is None:
            return x
        return x.flatten(0, 1).index_select(0, self.queries).view(self.runs, -1, x.shape[2])

    def add_continued(
        self, grad: Float[Tensor, "run input d"], of: Float[Tensor, "run output d"]
    ) -> None:
        """Add to the gradient of :meth:`continued`'s argument that ``of`` its result."""
        if self.queries is not None:
            rows = of.new_zeros(self.runs, grad.shape[1] - self.start, of.shape[2])
            rows.flatten(0, 1).index_add_(0, self.queries, of.flatten(0, 1))
            of = rows
        grad[:, self.start :].add_(of)

    def scores(
        self, q: Float[Tensor, "query d"], k: Float[Tensor, "key d"]
    ) -> Float[Tensor, " edge"]:
        """Each edge's dot product of its query and its key."""
        if self.query_of is not None:
            return _dots(q, k, self.keys, self.firsts, self.query_of, 0)
        by_key = (self._by_row(k) * self._by_row(q)).sum(dim=-1)
        return by_key.flatten().index_select(0, self.keys)

    def scores_backward(
        self,
        grad: Float[Tensor, " edge"],
        q: Float[Tensor, "query d"],
        k: Float[Tensor, "key d"],
    ) -> tuple[Float[Tensor, "run query_row head_d"], Float[Tensor, "run input head_d"]]:
        """The gradients of both arguments of :meth:`scores`, with heads side by side."""
        runs, width = self.runs, self.heads * q.shape[1]
        if self.queries_by_key is None:
            by_key = k.new_zeros(len(k)).index_add_(0, self.keys, grad)[:, None]
            dq = (by_key * k).view(runs, -1, width).sum(dim=1, keepdim=True)
            return dq, (self._by_row(by_key) * self._by_row(q)).flatten(2)
        dq = self.sums(k, grad).view(-1, width)
        if self.queries is not None:
            dq = q.new_zeros(len(q) // self.heads, width).index_add_(0, self.queries, dq)
        return dq.view(runs, -1, width), self.sums_by_key(q, self.queries_by_key, grad)

    def _by_row(self, x: Float[Tensor, "vector d"]) -> Float[Tensor, "run row head d"]:
        return x.view(self.runs, -1, self.heads, x.shape[1])

    def products(
        self, z: Float[Tensor, "bag d"], v: Float[Tensor, "key d"]
    ) -> Float[Tensor, " edge"]:
        """Each edge's dot product of its bag's vector and its key's."""
        return _dots(z, v, self.keys, self.firsts, self.bag_of, 0)

    def sums(
        self, v: Float[Tensor, "key d"], weights: Float[Tensor, " edge"]
    ) -> Float[Tensor, "bag d"]:
        """Each bag's sum over its edges of weight times key vector."""
        return torch.embedding_bag(v, self.keys, self.firsts, False, 0, False, weights)[0]

    def sums_by_key(
        self,
        vectors: Float[Tensor, "row d"],
        of: Int[Tensor, " edge"],
        weights: Float[Tensor, " edge"],
    ) -> Float[Tensor, "run input head_d"]:
        """Each key's sum over its edges of weight times vector.

        ``of`` are the vectors' numbers: ``queries_by_key`` or ``bags_by_key``.
        """
        weights = weights.index_select(0, self.by_key)
        firsts = self.firsts_by_key
        sums = torch.embedding_bag(vectors, of, firsts, False, 0, False, weights)[0]
        return sums.view(self.runs, self.heads, -1, sums.shape[1]).transpose(1, 2).flatten(2)

    def softmax(self, scores: Float[Tensor, " edge"]) -> Float[Tensor, " edge"]:
        """Softmax over the edges of each bag."""
        pattern = torch.empty_like(scores)
        for edges, size in self.groups:  # torch is slow where the last axis is short
            own = self._bags(scores, edges, size).movedim(-1, 0).softmax(dim=0)
            self._bags(pattern, edges, size).movedim(-1, 0).copy_(own)
        return pattern

    def softmax_backward(
        self, grad: Float[Tensor, " edge"], pattern: Float[Tensor, " edge"]
    ) -> Float[Tensor, " edge"]:
        """The gradient of :meth:`softmax`'s argument."""
        weighted = grad * pattern
        for edges, size in self.groups:
            bags = self._bags(weighted, edges, size)
            means = bags.sum(dim=-1, keepdim=True)
            bags.addcmul_(self._bags(pattern, edges, size), means, value=-1)
        return weighted

    def _bags(
        self, x: Float[Tensor, " edge"], edges: slice, size: int
    ) -> Float[Tensor, "run bag edge_of_bag"]:
        """A view of a group's edges."""
        return x.view(self.runs, -1)[:, edges].view(self.runs, -1, size)


class Prefixes:
    """Lists the edges of every layer for given pairs.

    Args:
        prompt: how pairs are written.
        p: the modulus.
        causal: whether positions see only themselves and earlier ones.
        n_layers: of the network; only the last position of the last one's output is computed.
        heads: per layer.
    """

    def __init__(self, prompt: Prompt, p: int, *, causal: bool, n_layers: int, heads: int) -> None:
        self._prompt, self._p, self._heads = prompt, p, heads
        self._causal, self._n_layers = causal, n_layers
        self._layers: dict[int, list[_Layer]] = {}  # by the number of pairs

    def edges(self, pairs: Int[Tensor, "run n 2"]) -> list[Edges]:
        """Each layer's edges. The last one's output has one row per pair, in their order."""
        runs, n, _ = pairs.shape
        if n not in self._layers:
            if len(self._layers) == _KEPT:
                self._layers.clear()
            self._layers[n] = self._plan(n)
        numbers = torch.arange(max(n, self._p)).expand(runs, -1)
        values = torch.cat([numbers, pairs.mT.flatten(1)], dim=1).int()
        return [layer.edges(values) for layer in self._layers[n]]

    def _plan(self, n: int) -> list["_Layer"]:
        length, operands, p = self._prompt.length, self._prompt.operands, self._p
        tokens = [operands.index(at) if at in operands else _SINGLE for at in range(length)]
        seen = [2] * length
        if self._causal:
            seen = [sum(at <= position for at in operands) for position in range(length)]
        # Fewer pairs than residues are not worth sharing rows.
        first = operands.index(min(operands)) if n >= p else _PAIR
        prefixes = [(_SINGLE, first, _PAIR)[operands_seen] for operands_seen in seen]
        inputs, behind = _Stream(tokens, p, n), _Stream(prefixes, p, n)
        layers = []
        for i in range(self._n_layers):
            wanted = range(0 if i < self._n_layers - 1 else length - 1, length)
            layers.append(_Layer(inputs, behind, wanted, self._causal, self._heads))
            inputs = behind
        return layers


class _Stream:
    """The rows of a residual stream, sorted by position.

    Args:
        contents: what each position has a row for: every residue of operand 0 or 1, every pair, or
            a single one.
        p: the modulus.
        n: number of pairs.
    """

    def __init__(self, contents: list[int], p: int, n: int) -> None:
        self.contents, self._p, self._n = contents, p, n
        self.counts = [{_SINGLE: 1, _PAIR: n}.get(content, p) for content in contents]
        self.starts = [sum(self.counts[:at]) for at in range(len(contents))]

    def rows(self, position: int, seen_by: "_Stream", at: int) -> Int[Tensor, "2 row"]:
        """For each row of another stream's position ``at``, the row of ``position`` it belongs to.

        As a place among the values of ``Prefixes.edges``, and a number to be added to the value.
        The values are the numbers from 0, then the first operands, then the second ones.
        """
        place = torch.arange(seen_by.counts[at])
        content = self.contents[position]
        if content == _SINGLE:
            place = torch.zeros_like(place)
        elif content != _PAIR and seen_by.contents[at] == _PAIR:
            place += max(self._n, self._p) + content * self._n
        return torch.stack([place, torch.full_like(place, self.starts[position])])


class _Layer:
    """What a layer's edges have in common for all batches of as many pairs.

    Args:
        inputs: the rows in front of the layer.
        outputs: those behind it.
        wanted: the positions whose output is computed.
        causal: whether these attend only to themselves and earlier positions.
        heads: of the layer.
    """

    def __init__(
        self, inputs: _Stream, outputs: _Stream, wanted: range, causal: bool, heads: int
    ) -> None:
        self._heads, self._n_rows = heads, sum(inputs.counts)
        self._start = inputs.starts[wanted[0]]
        head = torch.arange(heads)
        keys, queries, bags, places, firsts, groups = [], [], [], [], [], []
        edge = row = 0
        for at in wanted:
            visible = range(at + 1 if causal else len(inputs.counts))
            m, size = outputs.counts[at], len(visible)
            rows = torch.arange(m)[:, None].expand(m, size)
            keys += [torch.stack([inputs.rows(j, outputs, at) for j in visible], dim=2).flatten(1)]
            queries.append(inputs.rows(at, outputs, at))
            bags.append((row + rows).flatten())
            place = edge + rows * (heads * size) + torch.arange(size)
            places.append(place.flatten() + head[:, None] * size)
            end = edge + m * heads * size
            firsts.append(torch.arange(edge, end, size))
            groups.append((slice(edge, end), size))
            edge, row = end, row + m
        self._groups, self._firsts = tuple(groups), torch.cat(firsts).int()
        query = torch.cat(queries, dim=1) - torch.tensor([[0], [self._start]])
        # One head's edges, and the places of all heads' among the layer's, [head, edge].
        key, self._places = torch.cat(keys, dim=1), torch.cat(places, dim=1).int()
        which = self._places.flatten().argsort()
        of_head, of_edge = which // key.shape[1], which % key.shape[1]
        bag = torch.cat(bags)[of_edge]
        self._bag_of = (bag * heads + of_head).int()
        self._key = _Numbers(key)
        self._keys = _Numbers(key[:, of_edge], heads, of_head, of_run=heads * self._n_rows)
        self._queries = self._query_of = None
        if inputs is not outputs:
            n_queries = self._n_rows - self._start
            self._queries = _Numbers(query, of_run=n_queries)
            if len(wanted) > 1 or inputs.counts[wanted[0]] > 1:
                self._query_of = _Numbers(query[:, bag], heads, of_head, of_run=heads * n_queries)
        self._every_row = torch.arange(self._n_rows, dtype=torch.int32)
        self._first_of_head = (head[:, None] * key.shape[1]).int()

    def edges(self, values: Int[Tensor, "run value"]) -> Edges:
        """The edges for the values of one batch."""
        runs, edges = len(values), len(self._bag_of)
        rows, order = self._key(values).view(runs, -1).sort(dim=1, stable=True)
        by_key = self._places.index_select(1, order.flatten()).view(self._heads, runs, -1)
        by_key = _through_runs(by_key.transpose(0, 1), edges)
        firsts = torch.searchsorted(rows, self._every_row.repeat(runs, 1), out_int32=True)
        bag_of = _through_runs(self._bag_of.expand(runs, -1), len(self._firsts))
        queries, query_of = None, bag_of
        if self._queries is not None:
            queries = self._queries(values)
            query_of = None if self._query_of is None else self._query_of(values)
        return Edges(
            runs=runs,
            heads=self._heads,
            start=self._start,
            queries=queries,
            keys=self._keys(values),
            query_of=query_of,
            bag_of=bag_of,
            firsts=_through_runs(self._firsts.expand(runs, -1), edges),
            groups=self._groups,
            by_key=by_key,
            firsts_by_key=_through_runs(firsts[:, None] + self._first_of_head, edges),
            queries_by_key=None if query_of is None else query_of.index_select(0, by_key),
            bags_by_key=bag_of.index_select(0, by_key),
        )


def _through_runs(numbers: Int[Tensor, "run *number"], of_run: int) -> Int[Tensor, " run_number"]:
    """Numbers within each run, counted through all runs, of which each has ``of_run``."""
    if len(numbers) == 1:
        return numbers.flatten()
    begins = torch.arange(len(numbers), dtype=torch.int32) * of_run
    return (numbers.flatten(1) + begins[:, None]).flatten()


class _Numbers:
    """Row numbers, or those of one head of each, that depend on a batch's values.

    Args:
        rows: as of ``_Stream.rows``.
        heads: the row numbers are multiplied by this,
        head: and this is added.
        of_run: how many each run has.
    """

    def __init__(
        self,
        rows: Int[Tensor, "2 number"],
        heads: int = 1,
        head: Tensor | int = 0,
        *,
        of_run: int = 0,
    ) -> None:
        self._place, self._heads, self._of_run = rows[0].int(), heads, of_run
        self._constant = (rows[1] * heads + head).int()

    def __call__(self, values: Int[Tensor, "run value"]) -> Int[Tensor, " run_number"]:
        """The numbers."""
        chosen = values.index_select(1, self._place)
        return _through_runs(torch.add(self._constant, chosen, alpha=self._heads), self._of_run)
