"""Read a function's compiled code: its instructions, and the values that it refers to by name."""

import contextlib
import dis
import functools
import importlib
import importlib.util
import inspect
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

# A class body stores these about itself. They say where the class is defined, not what it does.
_NOTES = ("__module__", "__qualname__", "__doc__", "__firstlineno__")
_COROUTINE = inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE | inspect.CO_ASYNC_GENERATOR
_KINDS = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | inspect.CO_GENERATOR | _COROUTINE
_SETS_GLOBAL = ("STORE_GLOBAL", "DELETE_GLOBAL")
_SETS_OUTER = ("STORE_DEREF", "DELETE_DEREF")
_FOLLOWED = ("probes", "analyses")  # followed even if installed: measures change with their code


def instructions(code: CodeType) -> list[tuple[str, Any]]:
    """Pairs of (operation name, argument), without line numbers and docstrings."""
    found = [(step.opname, step.argval) for step in dis.get_instructions(code)]
    noted = {i for i, (_, name) in enumerate(found) if name in _NOTES and _stores(found[i])}
    return [step for i, step in enumerate(found) if i not in noted and i + 1 not in noted]


def signature(code: CodeType) -> tuple[Any, ...]:
    """What the instructions leave out: the parameters, and where exceptions are caught."""
    count = code.co_argcount + code.co_kwonlyargcount
    kinds = code.co_flags & _KINDS
    parameters = code.co_varnames[:count]
    return code.co_posonlyargcount, code.co_argcount, parameters, kinds, code.co_exceptiontable


def reached(function: FunctionType) -> dict[str, Any]:
    """The values behind the names in a function's code, nested functions included.

    These are defaults, enclosed variables, globals, and members of modules that are not installed
    packages. Left out are builtins and variables the function sets itself, such as a call counter.
    """
    code = function.__code__
    codes = list(_with_nested(code))
    steps = [(inside, *step) for inside in codes for step in instructions(inside)]
    names = {part for inside in codes for name in inside.co_names for part in name.split(".")}
    own = {
        name
        for inside, operation, name in steps
        if operation in _SETS_GLOBAL or (operation in _SETS_OUTER and name in inside.co_freevars)
    }
    values = dict(_defaults(function))
    values |= {
        f"enclosed {name}": value for name, value in enclosed(function).items() if name not in own
    }
    for _, operation, name in steps:
        is_global = operation.startswith("LOAD_") and operation.endswith(("_GLOBAL", "_GLOBALS"))
        if (is_global or operation == "LOAD_NAME") and name not in own:
            values |= _global(name, function.__globals__, names)
    for inside in codes:
        for name in _imports(inside, function.__globals__.get("__package__")):
            values |= _imported(name, names)
    return values


def enclosed(function: FunctionType) -> dict[str, Any]:
    """The variables of enclosing functions that a function uses; unset ones are left out."""
    values = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):
            values[name] = cell.cell_contents
    return values


@functools.cache
def is_installed(module: str) -> bool:
    """Whether a module belongs to Python or an installed package: only its name is compared."""
    top = module.partition(".")[0]
    if top in (*_FOLLOWED, "__main__", "__mp_main__"):
        return False
    if top == "grokinterp" or top.startswith("_cython_"):  # Cython's helper module has no file
        return True
    file = _file_of(module if module in sys.modules else top)
    if file is None:
        return top in sys.stdlib_module_names
    libraries = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    inside = any(file.is_relative_to(folder) for folder in libraries)
    return inside or not {"site-packages", "dist-packages"}.isdisjoint(file.parts)


def _file_of(module: str) -> Path | None:
    """The module's file; None if it has none."""
    if module in sys.modules:
        file = getattr(sys.modules[module], "__file__", None)
    else:
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            return None
        file = spec.origin if spec is not None and spec.has_location else None
    return None if file is None else Path(file).absolute()


def _stores(step: tuple[str, Any]) -> bool:
    return step[0].startswith("STORE_")


def _with_nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _with_nested(constant)


def _defaults(function: FunctionType) -> Iterator[tuple[str, Any]]:
    code, values = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[code.co_argcount - len(values) : code.co_argcount]
    for name, value in [*zip(names, values, strict=True), *(function.__kwdefaults__ or {}).items()]:
        yield f"default {name}", value


def _global(name: str, variables: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    if name not in variables:
        return {}
    value = variables[name]
    if isinstance(value, ModuleType) and not is_installed(value.__name__):
        return _taken_from(value, set(names), f"global {name}", set())
    return {f"global {name}": value}


def _taken_from(module: ModuleType, names: set[str], prefix: str, seen: set[int]) -> dict[str, Any]:
    """Members of a module, and of its submodules, whose names occur in the code."""
    seen.add(id(module))
    values: dict[str, Any] = {}
    for name in sorted(names & vars(module).keys()):
        value = vars(module)[name]
        if not isinstance(value, ModuleType):
            values[f"{prefix}.{name}"] = value
        elif id(value) not in seen and not is_installed(value.__name__):
            values |= _taken_from(value, names, f"{prefix}.{name}", seen)
    return values


def _imports(code: CodeType, package: str | None) -> Iterator[str]:
    """Full names of the modules that the code imports when called."""
    steps = [(step.opname, step.argval) for step in dis.get_instructions(code)]
    for i, (operation, name) in enumerate(steps):
        if operation == "IMPORT_NAME":
            level = steps[i - 2][1]
            if not level:
                yield name
            elif package:
                yield importlib.util.resolve_name("." * level + name, package)


def _imported(name: str, names: set[str]) -> dict[str, Any]:
    """Members that a function uses of a module it imports in its body."""
    top = name.partition(".")[0]
    try:
        if is_installed(top):
            return {}
        module = importlib.import_module(name)
    except Exception as error:  # the module may exist only at call time, or not at all
        return {f"import {name}": f"cannot be imported: {type(error).__name__}"}
    return _taken_from(module, names, f"import {name}", set())
