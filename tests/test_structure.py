"""The rules of the house: small modules and functions, one-way rooms, a light import, a documented public namespace."""

import ast
import importlib
import inspect
import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import kpl

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "kpl"
MODULES = sorted(SOURCE.rglob("*.py"))

MODULE_LINES = 400
FUNCTION_LINES = 60

# A room imports only from rooms to its left.
ROOMS = (
    "later",
    "errors",
    "alike",
    "bounded",
    "home",
    "files",
    "quiet",
    "cluster",
    "visible",
    "tables",
    "progress",
    "demo",
    "knowledge",
    "authoring",
    "images",
    "encoders",
    "embeddings",
    "proxies",
    "methods",
    "testing",
    "evaluation",
    "runs",
    "curation",
    "report",
    "server",
    "cli",
)

# `import kpl` must not even try these. What it costs in time, `.ci/check_import.py` measures.
HEAVY = ("matplotlib", "pandas", "sklearn", "torch")

FRAGMENT_KINDS = ("added", "changed", "deprecated", "fixed", "removed", "security")


def parse(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Every tracked or about-to-be-tracked text file as (path from the root, text)."""
    git = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if git.returncode:
        pytest.skip("not a git checkout, so there are no tracked files to read")
    for name in filter(None, git.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and b"\0" not in (content := path.read_bytes()):
            yield name, content.decode("utf-8")


def test_modules_are_short():
    long = {str(m.relative_to(ROOT)): n for m in MODULES if (n := len(m.read_text().splitlines())) > MODULE_LINES}
    assert long == {}, f"more than {MODULE_LINES} lines: cut where the meaning is"


def length_without_docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    docstring = function.body[0] if ast.get_docstring(function, clean=False) is not None else None
    end = function.end_lineno or function.lineno
    return end - function.lineno + 1 - (docstring.end_lineno - docstring.lineno + 1 if docstring else 0)


def test_functions_are_short():
    long = {
        f"{module.relative_to(ROOT)}:{node.lineno} {node.name}": length
        for module in MODULES
        for node in ast.walk(parse(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := length_without_docstring(node)) > FUNCTION_LINES
    }
    assert long == {}, f"more than {FUNCTION_LINES} lines: cut where the meaning is"


def imported_rooms(module: Path) -> Iterator[tuple[int, str]]:
    """Each import of the package inside a module, wherever it stands, as (line, room)."""
    package = ("kpl", *module.relative_to(SOURCE).parts[:-1])
    for node in ast.walk(parse(module)):
        if isinstance(node, ast.Import):
            targets = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = list(package[: len(package) - node.level + 1]) if node.level else []
            base = above + (node.module.split(".") if node.module else [])
            targets = [[*base, alias.name] for alias in node.names]
        else:
            continue
        for target in targets:
            if target[0] == "kpl":
                yield node.lineno, target[1] if len(target) > 1 else ""


def test_each_room_imports_only_from_its_left():
    wrong = []
    for module in MODULES:
        room = module.relative_to(SOURCE).parts[0].removesuffix(".py")
        if room in ("__init__", "__main__"):
            continue
        assert room in ROOMS, f"{room} is a new room: give it its place in ROOMS and in CONTRIBUTING.md"
        for line, other in imported_rooms(module):
            if other == "__version__":
                continue
            if other not in ROOMS or ROOMS.index(other) > ROOMS.index(room):
                wrong.append(f"{module.relative_to(ROOT)}:{line} imports kpl.{other}")
    assert wrong == [], f"the rooms, left to right: {' -> '.join(ROOMS)}"


def test_the_map_of_the_house_names_every_room_in_order():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    places = [text.index(f"`{room}`") for room in ROOMS]
    assert all(a < b for a, b in pairwise(places))


def test_import_is_light():
    probe = f"""
import json, sys
class Watch:
    asked = set()
    def find_spec(self, name, path=None, target=None):
        self.asked.add(name.partition(".")[0])
sys.meta_path.insert(0, Watch())
import kpl
print(json.dumps(sorted(Watch.asked & set({HEAVY!r}))))
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def names_that_type_checkers_see() -> list[str]:
    """What `kpl/__init__.py` imports for type checkers; at run time the same names load on first use."""
    imports = [node for node in ast.walk(parse(SOURCE / "__init__.py")) if isinstance(node, ast.ImportFrom)]
    rooms = [node for node in imports if (node.module or "").startswith("kpl.")]
    return sorted(alias.asname or alias.name for node in rooms for alias in node.names)


def test_the_public_namespace_is_what_all_says():
    assert sorted(kpl.__all__) == names_that_type_checkers_see()  # their order in the file is ruff's business
    assert sorted(dir(kpl)) == sorted(kpl.__all__)


@pytest.mark.parametrize("name", kpl.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert inspect.getdoc(getattr(kpl, name))


def test_a_name_that_is_not_public_is_refused():
    with pytest.raises(AttributeError, match="module 'kpl' has no attribute 'classfy'"):
        kpl.classfy  # noqa: B018 - the look-up is what is tested


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_says_what_it_offers(room):
    module = importlib.import_module(f"kpl.{room}")
    assert module.__doc__, "a room begins with what it is for"
    assert [name for name in getattr(module, "__all__", []) if not hasattr(module, name)] == []


def test_what_a_module_offers_is_said_once():
    """By its name: what begins with an underscore is its own. Only a package lists what it takes from its modules."""
    assert [str(m) for m in MODULES if m.name != "__init__.py" and "\n__all__ = " in m.read_text()] == []


# Who moves files by hand, and why; everyone else leaves it to `kpl.files`.
MOVES = {"files.py": "it is the room", "server/folders.py": "a lock's own file, which nobody may see before it is held"}


def moves(module: Path) -> Iterator[int]:
    """The lines that give a file or a folder another name: os.replace, os.rename, shutil.move, path.rename(there)."""
    for node in ast.walk(parse(module)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            known = (owner, node.func.attr) in {("os", "replace"), ("os", "renames"), ("shutil", "move")}
            if known or node.func.attr == "rename" or node.func.attr in {"mkstemp", "mkdtemp", "NamedTemporaryFile"}:
                yield node.lineno


def test_one_room_gives_files_their_names():
    found = {(str(m.relative_to(SOURCE)), line) for m in MODULES for line in moves(m)}
    assert {name for name, _ in found} == set(MOVES), f"use kpl.files, which no end of a process leaves half: {found}"


def test_nothing_is_left_to_do():
    mark = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME)\b")
    assert [name for name, text in tracked_texts() if mark.search(text)] == []


def test_nothing_names_a_machine():
    paths = r"(?<![\w./~-])/(?:root|home|work|Users|mnt|media|tmp|opt)/\w"
    own = [re.escape(str(ROOT)), re.escape(str(Path.home()) + "/")]
    host = platform.node()
    if any(c.isdigit() for c in host):  # a plain word such as "laptop" may stand in any text
        own.append(rf"\b{re.escape(host)}\b")
    machine = re.compile("|".join([paths, *own]))
    found = [f"{name}: {hit.group()}" for name, text in tracked_texts() if (hit := machine.search(text))]
    assert found == []


def test_changelog_fragments_are_sentences_for_users():
    for fragment in sorted((ROOT / "changelog.d").glob("*")):
        if fragment.name == "README.md":
            continue
        form = rf"\+?[a-z0-9-]+\.(?:{'|'.join(FRAGMENT_KINDS)})\.md"
        assert re.fullmatch(form, fragment.name), f"{fragment.name}: name it like main-command.added.md"
        text = fragment.read_text(encoding="utf-8").strip()
        assert re.match(r"[A-Z`]", text), f"{fragment.name}: begins with a sentence"
        assert text.endswith("."), f"{fragment.name}: ends with a full stop"
