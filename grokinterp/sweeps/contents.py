"""Take a Python value apart into its pieces, leaving out whatever differs between sessions."""

import copyreg
import functools
import hashlib
import inspect
import sys
import types
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from grokinterp.sweeps.bytecode import enclosed, is_installed, reached

# Members that say where a class or object is defined, or that Python derives from other members.
_PLACES = ("__module__", "__qualname__", "__name__", "__firstlineno__", "__doc__")
_SLOTS = ("__dict__", "__weakref__", "__slots__", "__slotnames__", "__static_attributes__")
_ANNOTATED = ("__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__")
_DATACLASS = ("__dataclass_fields__", "__dataclass_params__", "__match_args__")
_GENERIC = ("__abstractmethods__", "_abc_impl", "__parameters__", "__orig_bases__")
_NOTES = frozenset([*_PLACES, *_SLOTS, *_ANNOTATED, *_DATACLASS, *_GENERIC])
_CHECKERS = ("jaxtyping", "beartype")  # their wrappers check arguments and change nothing
_PLAIN = frozenset({bool, float, complex, str, type(None), type(...), type(NotImplemented)})
_WEAK = (weakref.ref, weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet)
_DESCRIPTORS = (
    types.MemberDescriptorType,
    types.GetSetDescriptorType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)
_CACHED = type(functools.cache(len))


def unwrapped(value: Any) -> Any:
    """Remove the type-checking wrappers that an import hook may have put around a function."""
    while (
        isinstance(value, types.FunctionType)
        and _home(value).partition(".")[0] in _CHECKERS
        and "__wrapped__" in value.__dict__
    ):
        value = value.__dict__["__wrapped__"]
    return value


def has_pieces(value: Any) -> bool:
    """Whether a value is a function, class or callable object with its own fingerprint entry."""
    if isinstance(value, types.FunctionType):
        return not is_installed(_home(value))
    if isinstance(value, type):
        return not is_installed(str(value.__module__))
    if isinstance(value, functools.partial | types.MethodType):
        return True
    return callable(value) and not is_installed(str(type(value).__module__))


def title(value: Any) -> str:
    """The name of a function, class or callable object, for messages."""
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | type):
        return value.__qualname__
    if isinstance(value, types.MethodType):
        return f"{getattr(value, '__qualname__', 'method')} of an object"
    if isinstance(value, functools.partial):
        return f"partial of {title(value.func)}"
    return f"{type(value).__qualname__} object"


def pieces(value: Any) -> dict[str, Any]:
    """The parts of a function, class or callable object, keyed by a name for messages."""
    if isinstance(value, types.FunctionType):
        own = {name: item for name, item in vars(value).items() if name != "__wrapped__"}
        return {"code": value.__code__} | reached(value) | _attributes(type(value), own)
    if isinstance(value, type):
        members = sorted(vars(value).items())
        own = {f"member {name}": item for name, item in members if name not in _NOTES}
        return {"bases": value.__bases__} | own
    if isinstance(value, types.MethodType):
        return {"function": value.__func__, "object": value.__self__}
    if isinstance(value, functools.partial):
        arguments = [*enumerate(value.args), *sorted(value.keywords.items())]
        named = {f"argument {name}": item for name, item in arguments}
        return {"function": value.func} | named
    return {"class": type(value)} | contents(value)


def plain(value: Any) -> str | None:
    """The text of a value that contains no other values; None if it contains some."""
    if type(value) in _PLAIN:
        return repr(value)
    if type(value) is int:
        return repr(value) if value.bit_length() <= 64 else hex(value)
    if isinstance(value, bytes | bytearray):
        return f"{len(value)} bytes {digest(value)}"
    if isinstance(value, types.ModuleType):  # members of a user's module are followed elsewhere
        return f"module {value.__name__}" if is_installed(value.__name__) else "a module"
    if isinstance(value, type) and not has_pieces(value):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, types.FunctionType) and not (has_pieces(value) or value.__closure__):
        return f"{_home(value)}.{value.__code__.co_qualname}"
    if isinstance(value, types.BuiltinFunctionType):
        owner = value.__self__
        if owner is None or isinstance(owner, types.ModuleType | type):
            return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, _DESCRIPTORS):
        return f"{value.__objclass__.__qualname__}.{value.__name__}"
    if type(value) is np.ndarray and not (value.dtype.hasobject or value.dtype.kind == "T"):
        numbers = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        return f"array {value.dtype.str} {value.shape} {digest(numbers)}"
    if isinstance(value, torch.Tensor):
        return _tensor(value)
    return f"a {type(value).__name__}" if isinstance(value, _WEAK) else None


def contents(value: Any) -> dict[str, Any]:
    """The parts of an object, as a pickle would keep them (so caches are left out)."""
    match value:
        case types.FunctionType():  # a wrapper made by an installed package
            name = f"{_home(value)}.{value.__code__.co_qualname}"
            return {"name": name, "around": list(enclosed(value).values())}
        case property():
            return {"get": value.fget, "set": value.fset, "delete": value.fdel}
        case classmethod() | staticmethod():
            return {"function": value.__func__}
        case functools.cached_property():
            return {"function": value.func}
        case types.BuiltinFunctionType() | types.MethodWrapperType():
            return {"name": value.__name__, "object": value.__self__}
        case types.MappingProxyType():
            return {"items": dict(value)}
        case np.ndarray() if type(value) is np.ndarray:  # with dtype object
            return {"shape": value.shape, "items": value.tolist()}
    if isinstance(value, _CACHED):
        return {"function": value.__wrapped__}
    return _labelled(value) or _pickled(value)


def digest(content: Any) -> str:
    """A 16-digit hash of a text or a buffer (bytes, array)."""
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:16]


def _home(function: types.FunctionType) -> str:
    """The defining module of a function; ``functools.wraps`` may have changed ``__module__``."""
    return str(function.__globals__.get("__name__"))


def _labelled(value: Any) -> dict[str, Any] | None:
    """The parts of an xarray object (its pickle contains caches); None for other values."""
    xr = sys.modules.get("xarray")
    if xr is None:
        return None
    if isinstance(value, xr.Variable):
        return {"dims": value.dims, "values": value.values, "attrs": dict(value.attrs)}
    if isinstance(value, xr.DataArray):
        coords = {name: label.variable for name, label in value.coords.items()}
        return {"name": value.name, "variable": value.variable, "coords": coords}
    if isinstance(value, xr.Dataset):
        return {"variables": dict(value.variables), "attrs": dict(value.attrs)}
    return None


def _pickled(value: Any) -> dict[str, Any]:
    try:
        reducer = copyreg.dispatch_table.get(type(value))
        made: Any = reducer(value) if reducer else value.__reduce_ex__(4)
    except Exception:  # locks, files, generators: their contents cannot be read
        return _attributes(type(value), getattr(value, "__dict__", {}))
    if isinstance(made, str):
        module = str(getattr(value, "__module__", None))
        return {"name": made, "of": module if is_installed(module) else None}
    function, arguments, state, items, pairs = [*made, None, None, None][:5]
    parts: dict[str, Any] = {}
    if getattr(function, "__name__", "") != "__newobj__" or len(arguments) > 1:
        parts = {"made by": function, "from": list(arguments)}
    parts |= {"items": list(items)} if items else {}
    parts |= {"pairs": dict(pairs)} if pairs else {}
    layers: Any = state if isinstance(state, tuple) and len(state) == 2 else (state,)
    if any(layer is not None and not isinstance(layer, dict) for layer in layers):
        return parts | {"state": state}
    for layer in layers:  # ordinary attributes, then those in __slots__
        parts |= _attributes(type(value), layer or {})
    return parts


def _attributes(kind: type, values: Mapping[Any, Any]) -> dict[str, Any]:
    """An object's attributes, without cached properties."""
    return {
        f"attribute {name}": values[name]
        for name in sorted(values, key=str)
        if name not in _NOTES
        and not isinstance(inspect.getattr_static(kind, str(name), None), functools.cached_property)
    }


def _tensor(value: torch.Tensor) -> str:
    try:
        dense = value.detach() if value.layout == torch.strided else value.detach().to_dense()
        numbers = dense.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
        content = digest(numbers.view(torch.uint8).numpy())
    except (RuntimeError, NotImplementedError, TypeError):  # no memory, as on device "meta"
        content = "without numbers"
    return f"tensor {value.dtype} {tuple(value.shape)} {content}"
