"""`kpl knowledge show FILE --features DIR`: the classes, how alike they are, and what each description does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from kpl.cli.outputs import write_figures
from kpl.cli.progress import stages
from kpl.cli.terminal import Console, plain, say, table_of

if TYPE_CHECKING:
    from kpl.encoders import Encoder
    from kpl.knowledge import KnowledgeBase
    from kpl.methods import DescriptionInsight
    from kpl.runs import KnowledgeInsight

_WORDS = 60  # of a sentence in a table
_MATRIX = 12  # classes whose similarities fit 80 columns
_COLOURS = {"does the work": "green", "helps a little": "", "too few pictures": "dim"}


def inspect(
    base: KnowledgeBase,
    features: Path,
    *,
    chosen: int | None,
    encoder: str | Encoder | None,
    limit: int,
    json_out: Path | None,
    figure: Path | None,
) -> None:
    """Look at a knowledge base over pictures, print it, and write what was asked for."""
    from kpl.evaluation import check_figure
    from kpl.files import write_file
    from kpl.runs import inspect_knowledge

    if figure is not None:
        check_figure(figure)
    with stages() as progress:
        told = inspect_knowledge(base, features, encoder=encoder, progress=progress)
    say(f"{base.task.name} over {told.pictures} pictures, by {told.method} with {told.encoder}, without labels")
    console = Console()
    if chosen is None:
        _print_classes(console, told, limit)
    _print_descriptions(console, told, chosen, limit)
    _print_contradicted(console, told, chosen, limit)
    write_figures(json_out, told.to_json(), indent=None, in_ascii=False)
    if figure is not None:
        from kpl.report import draw_similarity

        names = [entry.name for entry in base.classes]
        write_file(figure, draw_similarity(told.found.similarity, names, figure.suffix))
        say(f"Drawn in {figure}")


def _print_classes(console: Console, told: KnowledgeInsight, limit: int) -> None:
    """Print a row for each class, those first of whose sentences the largest share is marked."""
    from kpl.methods import Verdict

    entries, found = told.knowledge.classes, told.found
    rows = list(range(len(entries)))
    if limit and len(entries) > limit:
        marked = [sum(i.verdict.marked for i in items) / len(items) for items in found.descriptions]
        rows = sorted(rows, key=lambda c: (not found.classes[c].collapsed, -marked[c], c))[:limit]
    figures = ("pictures", "work", "help", "dead", "other", "repeat")
    table = table_of("class", title="Classes", figures=figures)
    table.add_column("nearest by text")
    table.add_column("cosine", justify="right")
    shown = (Verdict.WORKS, Verdict.HELPS, Verdict.DEAD, Verdict.OTHER, Verdict.REDUNDANT)
    for c in rows:
        own = found.classes[c]
        near = f"{entries[own.nearest].key}{': collapsed' if own.collapsed else ''}"
        counts = (str(found.count(c, verdict)) for verdict in shown)
        if found.descriptions[c][0].verdict is Verdict.UNJUDGED:
            counts = ("-" for _ in shown)
        style = "red" if own.collapsed else ""
        table.add_row(plain(entries[c].key), str(own.pictures), *counts, plain(near, style=style), f"{own.cosine:.3f}")
    console.print(table)
    if len(rows) < len(entries):
        say(f"{len(entries) - len(rows)} more classes, with a smaller share to look at: --limit 0 prints all")
    if few := sum(items[0].verdict is Verdict.UNJUDGED for items in found.descriptions):
        say(f"{few} classes are not judged: fewer than five pictures went to each, or to all the others together")
    if 2 < len(entries) <= _MATRIX:
        _print_matrix(console, told)


def _print_matrix(console: Console, told: KnowledgeInsight) -> None:
    title = "How alike the classes are to the text (centred cosines)"
    table = table_of("class", title=title, figures=map(str, range(1, len(told.knowledge.classes) + 1)))
    for c, (entry, row) in enumerate(zip(told.knowledge.classes, told.found.similarity.centred, strict=True)):
        rounded = (round(value, 1) + 0.0 for value in row.tolist())  # -0.0 is 0
        cells = ("·" if c == k else f"{value:.1f}".replace("0.", ".") for k, value in enumerate(rounded))
        table.add_row(plain(f"{c + 1} {entry.key}"), *cells)
    console.print(table)


def _print_descriptions(console: Console, told: KnowledgeInsight, chosen: int | None, limit: int) -> None:
    """Print what is marked, the worst first; of one class, or without a limit, every description."""
    by_class = told.found.descriptions if chosen is None else (told.found.descriptions[chosen],)
    if chosen is not None or not limit:
        for items in by_class:
            c = items[0].class_index
            title = f"{told.knowledge.classes[c].key}: {told.found.classes[c].pictures} pictures"
            ordered = sorted(items, key=lambda item: -item.lift)
            _print_rows(console, told, title, _cut(ordered, limit), with_class=False)
            if limit and len(items) > limit:
                say(f"{len(items) - limit} more between these: --limit 0 prints all")
        return
    marked = sorted((i for items in by_class for i in items if i.verdict.marked), key=_worst)
    if not marked:
        say("No description is marked.")
        return
    _print_rows(console, told, "Descriptions to look at, the worst first", marked[:limit], with_class=True)
    if len(marked) > limit:
        say(f"{len(marked) - limit} more are marked: --limit 0 prints every description, CLASS those of one class")


def _print_contradicted(console: Console, told: KnowledgeInsight, chosen: int | None, limit: int) -> None:
    """Print the sentences that the pictures contradict, the worst first."""
    keys = {entry.key for entry in told.knowledge.classes[slice(None) if chosen is None else slice(chosen, chosen + 1)]}
    found = [said for said in told.contradicted if said.key in keys]
    if not found:
        return
    table = Table("class", "description", "they give it to", title="The pictures contradict this", title_justify="left")
    for said in found[: limit or None]:
        table.add_row(plain(said.key), plain(said.text), plain(said.instead))
    console.print(table)
    if limit and len(found) > limit:
        say(f"{len(found) - limit} more are contradicted: --limit 0 prints them all")


def _worst(item: DescriptionInsight) -> tuple[float, float]:
    return (item.weaker - item.rivals, item.lift)


def _cut(items: Sequence[DescriptionInsight], limit: int) -> Sequence[DescriptionInsight]:
    if not limit or len(items) <= limit:
        return items
    return [*items[: limit - limit // 3], *items[len(items) - limit // 3 :]]


def _print_rows(
    console: Console, told: KnowledgeInsight, title: str, items: Iterable[DescriptionInsight], *, with_class: bool
) -> None:
    from kpl.runs import verdict_words

    if with_class:
        table = Table("class", "description", title=title, title_justify="left")
        headings = ["lift", "rivals"]
    else:  # eight columns: without padding 80 characters still hold words
        table = Table("description", title=plain(title), title_justify="left", padding=0)
        headings = ["mean", "spread", "lift", "rivals", "same", "else"]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict")
    against = {(said.key, said.text) for said in told.contradicted}
    for item in items:
        entry = told.knowledge.classes[item.class_index]
        text = entry.descriptions[item.index].text
        same, elsewhere = ("-" if near is None else f"{near.cosine:.2f}" for near in (item.same, item.elsewhere))
        cells = {
            "mean": f"{item.relevance:.3f}",
            "spread": f"{item.spread:.3f}",
            "lift": f"{item.lift:+.3f}",
            "rivals": f"{item.rivals:.0%}",
            "same": same,
            "else": elsewhere,
        }
        table.add_row(
            *([plain(entry.key)] if with_class else []),
            plain(text + ("" if item.used else " (contradicted)" if (entry.key, text) in against else " (not used)")),
            *(cells[heading] for heading in headings),
            plain(_shortened(verdict_words(item, told.knowledge)), style=_COLOURS.get(str(item.verdict), "red")),
        )
    console.print(table)


def _shortened(text: str) -> str:
    return text if len(text) <= _WORDS else text[: _WORDS - 1] + "…"
