"""Loads a class from a file beside the configuration: once as long as no file that it is made of changes.

Laws of this file:
1. Only files in the configuration's directory and below are run, wherever a link or `..` leads.
2. The file, and what stands beside it and is imported by it, is run with an `import` of its own: names of LiteLLM and FastAPI that are
   not installed are ours, and no other code of the process sees them.
3. An error names file and line of the user's code, and no value that a setting holds.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib.util
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from adapters.remotes.custom import offered
from adapters.remotes.custom.reading import LackingError, read

KEPT = 100
"""Directories whose files are kept."""
OWN = frozenset({"adapters", "engine", "policies"})
"""Packages of ours, which a user's file of that name beside the configuration does not mean."""
STILL = 0.05
"""Seconds for which a file must not have changed."""
ATTEMPTS = 40
Signature = tuple[int, int, int]


class LoadError(ValueError):
    """A file cannot be loaded; the message says where and why."""


class Program:
    """The files of one directory that were run, by their dotted names in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.offered = offered.offer(root for root in offered.ROOTS if not _installed(root, folder))
        self._prefix = f"hooks_{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"
        self._modules: dict[str, ModuleType] = {}
        self._signatures: dict[Path, Signature] = {}
        self._builtins = {**vars(builtins), "__import__": self._import}
        self._lock = threading.RLock()

    def current(self) -> bool:
        """Tell whether no file has changed since it was run."""
        return all(_signature(path) == seen for path, seen in self._signatures.items())

    def module(self, name: str, path: Path) -> ModuleType:
        """Run a file, once; raises whatever it raises."""
        with self._lock:
            found = self._modules.get(name)
            return found if found is not None else self._run(name, path)

    def _run(self, name: str, path: Path) -> ModuleType:
        source, seen = _still(path)
        full = f"{self._prefix}.{name}"
        module = ModuleType(full)
        package = path.name == "__init__.py"
        module.__file__ = os.fspath(path)
        module.__package__ = full if package else full.rpartition(".")[0]
        if package:
            module.__path__ = [os.fspath(path.parent)]
        module.__dict__["__builtins__"] = self._builtins
        code = compile(read(source, os.fspath(path), self.offered), os.fspath(path), "exec", dont_inherit=True)
        # Classes are looked for in `sys.modules` by what they are made with (dataclasses).
        self._modules[name] = sys.modules[full] = module
        try:
            exec(code, module.__dict__)  # noqa: S102 - the operator's own file is what is to be run
        except BaseException:
            del self._modules[name], sys.modules[full]
            raise
        self._signatures[path] = seen
        return module

    def _import(
        self, name: str, globals: Mapping[str, Any] | None = None, locals: Mapping[str, Any] | None = None,  # noqa: A002 - as `__import__`
        fromlist: Sequence[str] | None = (), level: int = 0,
    ) -> Any:  # fmt: skip
        wanted = fromlist or ()
        if level:
            package = str((globals or {}).get("__package__") or self._prefix)
            name = importlib.util.resolve_name("." * level + name, package).removeprefix(self._prefix).lstrip(".")
        root = name.partition(".")[0]
        if root in self.offered:
            return offered.imported(self.offered, name, wanted)
        if level or self._beside(root):
            return self._own(name, wanted)
        return builtins.__import__(name, globals, locals, wanted, level)

    def _beside(self, root: str) -> bool:
        """Tell whether a name means a file of the directory: one that is not installed, or is ours."""
        if root in sys.stdlib_module_names or (self._path(root) is None and not self._holds_code(root)):
            return False
        return root in OWN or not _installed(root, self.folder)

    def _path(self, name: str) -> Path | None:
        at = self.folder.joinpath(*name.split("."))
        found = next((path for path in (at / "__init__.py", at.with_name(f"{at.name}.py")) if path.is_file()), None)
        return found if found is not None and _within(found, self.folder) else None

    def _holds_code(self, name: str) -> bool:
        """Tell whether a name is a directory of files without an `__init__.py`."""
        at = self.folder.joinpath(*name.split("."))
        return at.is_dir() and _within(at, self.folder) and any(at.glob("*.py"))

    def _own(self, name: str, wanted: Sequence[str]) -> ModuleType:
        steps = name.split(".") if name else []
        modules: list[ModuleType] = []
        for end in range(1, len(steps) + 1):
            module = self._needed(".".join(steps[:end]))
            if modules:
                setattr(modules[-1], steps[end - 1], module)
            modules.append(module)
        if not wanted:
            return modules[0]
        leaf = modules[-1] if modules else ModuleType(self._prefix)
        for one in wanted:
            inner = f"{name}.{one}".lstrip(".")
            if one != "*" and not hasattr(leaf, one) and self._path(inner) is not None:
                setattr(leaf, one, self._needed(inner))
        return leaf

    def _needed(self, name: str) -> ModuleType:
        path = self._path(name)
        if path is not None:
            return self.module(name, path)
        if not self.folder.joinpath(*name.split(".")).is_dir():
            raise ModuleNotFoundError(f"there is no `{name}` beside the configuration", name=name)
        with self._lock:
            return self._modules.setdefault(name, ModuleType(f"{self._prefix}.{name}"))


_programs: dict[Path, Program] = {}
_lock = threading.Lock()


def program(folder: Path) -> Program:
    """Return what was run of a directory's files, or what is to run them anew where one of them has changed."""
    with _lock:
        found = _programs.pop(folder, None)
        if found is None or not found.current():
            found = Program(folder)
        _programs[folder] = found
        while len(_programs) > KEPT:
            del _programs[next(iter(_programs))]
        return found


def place(folder: str, dotted: str, file: str) -> Path:
    """Return the file of a class: `file`, or what `file.Class` names; raises LoadError where it is none to be run."""
    root = Path(folder).resolve()
    written = file or f"{dotted.rpartition('.')[0].replace('.', '/')}.py"
    path = root / written
    if not _within(path, root):
        raise LoadError(f"file: `{written}` is not in the configuration's directory, `{folder}`: put it there")
    if not path.is_file():
        raise LoadError(
            f"{'file' if file else 'class'}: there is no file `{path}`: put it there, or write its name at `file`"
        )
    return path


class Loaded(NamedTuple):
    """A class, the file that it is written in, and what that was loaded with."""

    program: Program
    made: type
    path: Path


def load(folder: str, dotted: str, file: str) -> Loaded:
    """Load a class; raises LoadError."""
    path = place(folder, dotted, file)
    root = Path(folder).resolve()
    found = program(root)
    name = dotted.rpartition(".")[2]
    inside = path.relative_to(root).with_suffix("").parts if path.is_relative_to(root) else (path.stem,)
    try:
        module = found.module(".".join(inside), path)
    except (Exception, SystemExit) as error:
        raise LoadError(f"class: {told(error, path)}; mend it and load again") from error
    made = getattr(module, name, None)
    if not isinstance(made, type):
        known = [
            one
            for one, value in vars(module).items()
            if isinstance(value, type) and value.__module__ == module.__name__
        ]
        raise LoadError(f"class: {path.name} defines no class `{name}`; it defines {', '.join(known) or 'none'}")
    return Loaded(found, made, path)


def told(error: BaseException, path: Path, secrets: Sequence[str] = ()) -> str:
    """Say what went wrong where in the user's code, without what settings hold."""
    if isinstance(error, SyntaxError) and error.filename:
        kind = "" if isinstance(error, LackingError) else f"{type(error).__name__}: "
        return f"{Path(error.filename).name}:{error.lineno}: {kind}{error.msg}"
    mine = [frame for frame in traceback.extract_tb(error.__traceback__) if _theirs(Path(frame.filename), path.parent)]
    where = f"{Path(mine[-1].filename).name}:{mine[-1].lineno}" if mine else path.name
    missing = type(error) is ModuleNotFoundError and error.name is not None and not str(error).startswith(offered.LACKS)
    message = f"{error}: pip install it beside this gateway" if missing else str(error)
    for secret in secrets:
        message = message.replace(secret, "…")
    said = message if isinstance(error, ImportError) else f"{type(error).__name__}: {message}"
    return f"{where}: {said[:300]}"


def _still(path: Path) -> tuple[bytes, Signature]:
    """Read a file that nobody is writing: half of a class might have half of its hooks. Raises OSError."""
    for _ in range(ATTEMPTS):
        seen, source = _signature(path), path.read_bytes()
        if seen is not None and seen == _signature(path) and not 0 <= time.time_ns() - seen[2] < STILL * 1e9:
            return source, seen
        time.sleep(STILL)
    raise BlockingIOError(f"{path.name} is being written all the time: it is read once it stands still")


def _theirs(file: Path, folder: Path) -> bool:
    """Tell the user's code from ours and from what is installed, which may be in the same directory."""
    installed = {"site-packages", "dist-packages"} & set(file.parts)
    return file.is_relative_to(folder) and not installed and not file.is_relative_to(Path(__file__).parent)


def _signature(path: Path) -> Signature | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _within(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root)


def _installed(root: str, folder: Path) -> bool:
    """Tell whether a package is there for all; a directory without code is none, nor is a file beside the configuration."""
    if root in sys.modules:
        return True
    try:
        spec = importlib.util.find_spec(root)
    except (ImportError, ValueError):
        return False
    if spec is None or spec.origin is None:
        return False
    return Path(spec.origin).resolve() not in {folder / f"{root}.py", folder / root / "__init__.py"}
