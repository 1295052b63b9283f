"""A digest of the code that computes a result, so that a result of other code is noticed.

The key covers the definitions that a function reaches, and nothing else: starting from the
function, every name in a definition is followed to the function, class or constant it stands for,
through imports and re-exports, within ``analyses``, ``probes`` and ``grokinterp``. Of a module that
is reached this way, statements that are no definition (such as a registration) count too.

A collection that a module lists, such as the ways to compute gradients, counts without the items
that are not used with the settings at hand.

Not in the key: comments, docstrings, annotations, the text of error messages, layout; code that
shows results or progress instead of computing them (``NOT_COMPUTING`` and functions called
``plot_*``); installed packages, whose versions a result records; and definitions that only a string
names, unless given as a start. Nothing is imported, so a key takes milliseconds and does not depend
on the version of Python.
"""

import ast
import copy
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("analyses", "probes", "grokinterp")
NOT_COMPUTING = (
    "analyses.announcement",
    "analyses.cli",
    "analyses.errors",
    "analyses.ledger.code_key",
    "analyses.options",
    "analyses.pages",
    "analyses.registry",
    "grokinterp.bars",
    "grokinterp.checks",
    "grokinterp.files",
    "grokinterp.json_files",
    "grokinterp.limits",
    "grokinterp.runs.about",
    "grokinterp.runs.files",
    "grokinterp.runs.folder",
    "grokinterp.short_text",
    "grokinterp.sweeps.estimate",
    "grokinterp.team",
    "grokinterp.tracking",
    "grokinterp.training.device_errors",
    "grokinterp.training.interrupt",
    "grokinterp.training.memory",
)
LOOSE = "<statements>"  # of a module, those that are neither a definition nor an import


def code_key(*starts: str, without: tuple[str, ...] = (), root: Path = ROOT) -> str:
    """The key of some functions: 16 hexadecimal digits.

    Args:
        starts: functions, classes or constants, each as "package.module:name".
        without: beginnings of the names of modules that are reached, but not used with the settings
            at hand, such as those of other architectures.
        root: the folder that holds the three packages.

    Raises:
        ValueError: a start, or a name that is imported on the way, does not exist.
    """
    found = reached(*starts, without=without, root=root)
    lines = sorted(f"{name} {text}" for name, text in found.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def reached(*starts: str, without: Sequence[str] = (), root: Path = ROOT) -> dict[str, str]:
    """What the key is made of: a digest for each definition, by "module:name"."""
    found: dict[str, str] = {}
    waiting = [(start.partition(":")[0], start.partition(":")[2]) for start in starts]
    while waiting:
        module, name = waiting.pop()
        unused = module.startswith(tuple(without))
        if f"{module}:{name}" in found or unused or not _computes(module, name):
            continue
        content = _read(module, root)
        if name in content.definitions:
            nodes = content.definitions[name]
        elif name in content.imports:
            waiting += _followed(content.imports[name], [], root)
            continue
        elif _is_module(f"{module}.{name}", root):
            waiting += [(f"{module}.{name}", own) for own in _read(f"{module}.{name}", root).names]
            continue
        elif name in (LOOSE, *content.loose_names):
            name, nodes = LOOSE, content.loose
        else:
            raise ValueError(f"{module}:{name} does not exist; correct the name or its import")
        if without:
            nodes = [_without_unused(node, content, tuple(without), root) for node in nodes]
        found[f"{module}:{name}"] = _digest(nodes)
        waiting.append((module, LOOSE))
        for node in nodes:
            waiting += _names(node, module, content, root)
    return found


@dataclass
class _Module:
    """The top level of a module."""

    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)  # name -> module, attribute
    loose: list[ast.stmt] = field(default_factory=list)  # neither a definition nor an import

    @property
    def names(self) -> list[str]:
        return [*self.definitions, LOOSE]

    @property
    def loose_names(self) -> set[str]:
        """The names that these statements set, such as one defined under a condition."""
        inner = (node for statement in self.loose for node in ast.walk(statement))
        return {
            name
            for node in inner
            if (name := getattr(node, "name", None) or getattr(node, "id", None)) is not None
        }


def _computes(module: str, name: str) -> bool:
    shown = module.rpartition(".")[2] == "figures" or name.startswith(("plot_", "__all__"))
    inside = module.partition(".")[0] in PACKAGES
    hidden = any(module == other or module.startswith(f"{other}.") for other in NOT_COMPUTING)
    return inside and not hidden and not shown


@cache
def _file(module: str, root: Path) -> Path | None:
    path = root.joinpath(*module.split("."))
    for file in (path / "__init__.py", path.with_suffix(".py")):
        if file.is_file():
            return file
    return None


def _is_module(name: str, root: Path) -> bool:
    return _file(name, root) is not None


def _read(module: str, root: Path) -> _Module:
    file = _file(module, root)
    if file is None:
        raise ValueError(f"{module} is not a module in {root}; correct the name or its import")
    return _parsed(file.read_text(encoding="utf-8"), module, file.name == "__init__.py")


@cache
def _parsed(text: str, module: str, is_package: bool) -> _Module:
    content = _Module()
    for statement in _Plain().visit(ast.parse(text)).body:
        match statement:
            case ast.Import() | ast.ImportFrom():
                content.imports |= _imported(statement, module, is_package)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                content.definitions.setdefault(name, []).append(statement)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                pass
            case ast.Assign(targets=targets) if all(map(_named, targets)):
                for target in targets:
                    for name in _named(target):
                        content.definitions.setdefault(name, []).append(statement)
            case ast.AnnAssign(target=ast.Name(id=name)):
                content.definitions.setdefault(name, []).append(statement)
            case _:
                content.loose.append(statement)
    return content


def _named(target: ast.expr) -> list[str]:
    """The names that an assignment sets; none if it sets an item or an attribute."""
    parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
    names = [part.id for part in parts if isinstance(part, ast.Name)]
    return names if len(names) == len(parts) else []


def _imported(
    statement: ast.Import | ast.ImportFrom, module: str, is_package: bool
) -> dict[str, tuple[str, str]]:
    """The names that an import sets, each with its module and the attribute ("" for a module)."""
    if isinstance(statement, ast.Import):
        tops = {a.name.partition(".")[0]: a.name.partition(".")[0] for a in statement.names}
        renamed = {a.asname: a.name for a in statement.names if a.asname}
        return {name: (source, "") for name, source in (tops | renamed).items()}
    source = statement.module or ""
    if statement.level:  # relative: one dot is the module's own package
        above = module.split(".")
        above = above[: len(above) + is_package - statement.level]
        source = ".".join(filter(None, [*above, source]))
    return {alias.asname or alias.name: (source, alias.name) for alias in statement.names}


def _names(node: ast.stmt, module: str, content: _Module, root: Path) -> Iterator[tuple[str, str]]:
    """The definitions of the three packages that a statement refers to."""
    imports = dict(content.imports)
    is_package = (_file(module, root) or Path()).name == "__init__.py"
    for inner in _imports_within(node):
        imports |= _imported(inner, module, is_package)
    for name, *attributes in _chains_within(node):
        if name in imports:
            yield from _followed(imports[name], attributes, root)
        elif name in content.definitions:
            yield module, name


@cache  # of a parsed file, which is kept as well
def _imports_within(node: ast.stmt) -> Sequence[ast.Import | ast.ImportFrom]:
    return [n for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom)]


@cache
def _chains_within(node: ast.stmt) -> Sequence[Sequence[str]]:
    return list(_chains(node))


def _chains(node: ast.AST) -> Iterator[list[str]]:
    """Every name with the attributes behind it: ``a.b.c`` as ["a", "b", "c"]."""
    if isinstance(node, ast.Attribute | ast.Name):
        parts: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            yield [inner.id, *reversed(parts)]
            return
        yield from _chains(inner)
        return
    for child in ast.iter_child_nodes(node):
        yield from _chains(child)


def _followed(
    imported: tuple[str, str], attributes: list[str], root: Path
) -> Iterator[tuple[str, str]]:
    """What an imported name and the attributes behind it stand for."""
    module, *path = [imported[0], *filter(None, [imported[1]]), *attributes]
    if module.partition(".")[0] not in PACKAGES:
        return
    while path:
        if module.partition(".")[0] not in PACKAGES or not _computes(module, path[0]):
            return
        content = _read(module, root)
        if path[0] in content.definitions:
            break
        re_export = content.imports.get(path[0], (module, path[0]))
        if re_export != (module, path[0]):
            (module, attribute), path = re_export, path[1:]
            path = [attribute, *path] if attribute else path
        elif _is_module(f"{module}.{path[0]}", root):
            module, path = f"{module}.{path[0]}", path[1:]
        else:
            break
    if path:
        yield module, path[0]
    elif _computes(module, ""):  # the module itself is the value
        yield from ((module, name) for name in _read(module, root).names)


def _without_unused(
    node: ast.stmt, content: _Module, without: tuple[str, ...], root: Path
) -> ast.stmt:
    """An assignment of a tuple, list or set, without the items whose modules are not used."""
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return node
    if not isinstance(node.value, ast.Tuple | ast.List | ast.Set):
        return node
    used = [item for item in node.value.elts if not _is_unused(item, content, without, root)]
    if len(used) == len(node.value.elts):
        return node
    shortened = copy.deepcopy(node)
    assert isinstance(shortened.value, ast.Tuple | ast.List | ast.Set)
    shortened.value.elts = used
    return shortened


def _is_unused(item: ast.expr, content: _Module, without: tuple[str, ...], root: Path) -> bool:
    """Whether an expression is a name that was imported from one of these modules."""
    if not isinstance(item, ast.Name | ast.Attribute):
        return False
    ((name, *attributes),) = _chains(item)
    if name not in content.imports:
        return False
    meant = [*_followed(content.imports[name], attributes, root)]
    return bool(meant) and all(module.startswith(without) for module, _ in meant)


class _Plain(ast.NodeTransformer):
    """Removes docstrings, annotations and the text of error messages."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            node.body = body[1:]  # pyright: ignore[reportAttributeAccessIssue]
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
        return super().generic_visit(node)


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _digest(nodes: Iterable[ast.AST]) -> str:
    return hashlib.sha256(" ".join(map(_text_of, nodes)).encode()).hexdigest()[:16]


@cache
def _text_of(node: ast.AST) -> str:
    return _text(node)


def _text(node: object) -> str:
    """A node as text; empty fields are left out, as they differ between versions of Python."""
    if isinstance(node, list):
        return f"[{' '.join(map(_text, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = ((name, getattr(node, name, None)) for name in node._fields if name != "ctx")
    inside = " ".join(f"{name}={_text(value)}" for name, value in parts if value not in (None, []))
    return f"{type(node).__name__}({inside})"
