"""Classes in a tree: what groups there are at each level, and what they come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kpl.errors import KnowledgeError, UnknownNameError
from kpl.knowledge.folding import fold_name
from kpl.knowledge.schema import KnowledgeBase, KnowledgeClass, names_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Level:
    """One level above the classes; a class without a group there stands for itself.

    Attributes:
        number: 1 for the outermost.
        names: G, of groups and of such classes by their keys.
        of_classes: C, the place of each class in `names`.
        of_groups: the same of each group of this level, and of those below it.
    """

    number: int
    names: tuple[str, ...]
    of_classes: tuple[int, ...]
    of_groups: Mapping[str, int] = field(default_factory=dict)

    def summed(self, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return probabilities (n, G) of such of the classes, (n, C).

        Example:
            >>> import numpy as np
            >>> level = Level(1, ("round", "box"), (0, 0, 1))
            >>> level.summed(np.array([[0.3, 0.3, 0.4]])).tolist()
            [[0.6, 0.4]]
        """
        import numpy as np  # which reading knowledge does not need

        return np.asarray(probabilities @ np.eye(len(self.names))[list(self.of_classes)])


def levels(base: KnowledgeBase) -> tuple[Level, ...]:
    """Return the levels above the classes, the outermost first; none where no class has a parent.

    Example:
        >>> base = KnowledgeBase.model_validate({"kpl_knowledge": 2, "task": {"name": "shapes"}, "classes": [
        ...     {"key": "disc", "parent": "round", "descriptions": ["flat"]},
        ...     {"key": "ball", "parent": "round", "descriptions": ["deep"]},
        ...     {"key": "box", "descriptions": ["four corners"]}]})
        >>> [(level.names, level.of_classes) for level in levels(base)]
        [(('round', 'box'), (0, 0, 1))]
    """
    found = []
    for depth in range(max(len(entry.parent) for entry in base.classes)):
        names: dict[str, str] = {}
        places = []
        for entry in base.classes:
            own = entry.parent[depth] if depth < len(entry.parent) else entry.key
            names.setdefault(fold_name(own), own)
            places.append(list(names).index(fold_name(own)))
        groups = {group: at for entry, at in zip(base.classes, places, strict=True) for group in entry.parent[depth:]}
        found.append(Level(depth + 1, tuple(names.values()), tuple(places), groups))
    return tuple(found)


def only_classes(base: KnowledgeBase, names: Sequence[str]) -> KnowledgeBase:
    """Return a copy with some of the classes, each named by key, name, alias, or a group above it; order as there.

    Raises:
        UnknownNameError: a name that is none of these.
        KnowledgeError: fewer than two classes are left.
    """
    kept: set[int] = set()
    for name in names:
        below = [
            number
            for number, entry in enumerate(base.classes)
            if fold_name(name) in map(fold_name, (entry.key, entry.name, *entry.aliases, *entry.parent))
        ]
        if not below:
            groups = dict.fromkeys(group for entry in base.classes for group in entry.parent)
            raise UnknownNameError("class", name, [*(entry.key for entry in base.classes), *groups])
        kept.update(below)
    if len(kept) < 2:
        raise KnowledgeError(f"{len(kept)} class of {len(base.classes)} is left: name two at least")
    gone = {fold_name(name) for n, entry in enumerate(base.classes) if n not in kept for _, name in names_of(entry)}
    return base.model_copy(update={"classes": tuple(_freed(base.classes[number], gone) for number in sorted(kept))})


def _freed(entry: KnowledgeClass, gone: set[str]) -> KnowledgeClass:
    """Return a class whose sentences are set against no class that is gone; the sentences stay."""
    descriptions = tuple(
        each.model_copy(update={"against": None}) if each.against and fold_name(each.against) in gone else each
        for each in entry.descriptions
    )
    return entry.model_copy(update={"descriptions": descriptions})
