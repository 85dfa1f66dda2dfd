"""The templates of a report, compiled as Python compiles modules: once, kept in `__pycache__` beside them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, MutableMapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any, Final

import jinja2
from jinja2 import BaseLoader, Environment, StrictUndefined, Template, TemplateNotFound

_FOLDER: Final = Path(__file__).parent / "templates"
_OPTIONS: Final[dict[str, Any]] = {"autoescape": True, "trim_blocks": True, "lstrip_blocks": True}


def templates(finalize: Callable[[object], object]) -> Environment:
    """Return the report's templates; every value that they show goes through a function."""
    return Environment(loader=_Kept(), undefined=StrictUndefined, finalize=finalize, **_OPTIONS)  # noqa: S701 - it does


class _Kept(BaseLoader):
    def load(
        self,
        environment: Environment,
        name: str,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 - Jinja's
    ) -> Template:
        path = _FOLDER / name
        if not path.is_file():
            raise TemplateNotFound(name)
        code = _Compiled(environment, name, path).get_code(name)
        assert code is not None  # noqa: S101 - None is of loaders without source
        return environment.template_class.from_code(environment, code, globals or {})


class _Compiled(SourceFileLoader):
    """A template as a module: the import system decides whether what it kept is still right, and where it may keep."""

    def __init__(self, environment: Environment, name: str, path: Path) -> None:
        super().__init__(name, str(path))
        self._environment = environment

    def path_stats(self, path: str) -> dict[str, Any]:
        found = dict(super().path_stats(path))  # another Jinja compiles otherwise
        return found | {"mtime": int(found["mtime"]) + zlib.crc32(f"{jinja2.__version__} {_OPTIONS}".encode())}

    def source_to_code(self, data: Any, path: Any, **_: Any) -> CodeType:  # type: ignore[override] # noqa: ANN401
        return self._environment.compile(bytes(data).decode(), self.name, str(path))
