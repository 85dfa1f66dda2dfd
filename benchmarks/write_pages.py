"""Write the tables of the documentation from the JSON that the benchmarks wrote: no figure is typed by hand.

python benchmarks/write_pages.py          rewrites them; `--check` fails if one is stale
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from contest_table import doubt, losses, summary, tables
from kpl.knowledge import RULES

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def main() -> None:
    """Rewrite or check the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a page is stale")
    stale = {path: text for path, text in pages().items() if path.read_text(encoding="utf-8") != text}
    if parser.parse_args().check:
        sys.exit(f"stale: {', '.join(path.name for path in stale)}: python benchmarks/write_pages.py" if stale else 0)
    for path, text in stale.items():
        path.write_text(text, encoding="utf-8")


def pages() -> dict[Path, str]:
    """Return every page that holds tables, as it has to be."""
    made: dict[Path, str] = {}
    for page, name, write in TABLES:
        path = ROOT / "docs" / page
        found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        marks = re.compile(rf"(<!-- {write.__name__}: [^\n]*-->\n).*?(<!-- end of {write.__name__} -->)", re.DOTALL)
        text = made.get(path) or path.read_text(encoding="utf-8")
        head, rest = marks.split(text)[0], marks.split(text)[-1]
        opened, closed = marks.findall(text)[0]
        made[path] = f"{head}{opened}\n{write(found)}\n{closed}{rest}"
    return made


def _percent(share: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{100 * share:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def knowledge_value(found: dict[str, Any]) -> str:
    """Accuracy of each source of texts on two sets of pictures, and how far KPL is ahead of it."""
    sets = {name: found[name] for name in PICTURES}
    head = " | ".join(f"{name} cells, n = {each['pictures']} | KPL ahead by | p" for name, each in sets.items())
    lines = [f"| texts | method | {head} |", "|---" * (2 + 3 * len(sets)) + "|"]
    for words, method, names in ROWS:
        cells = []
        for each in sets.values():
            figure, ahead = each[method], each[method]["kpl_ahead"]
            apart = _percent(ahead["difference"], ahead["interval"]) if method != "kpl" else ""
            chance = "" if method == "kpl" else f"{ahead['p']:.0e}" if ahead["p"] < 0.001 else f"{ahead['p']:.3f}"
            cells += [_percent(figure["accuracy"], figure["interval"]), apart, chance]
        lines.append(f"| {words} | {names} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


PICTURES = ("real", "rendered")
ROWS = (
    ("class names", "names", "`names`"),
    ("names with random words", "waffle", "`waffle`"),
    ("the mean of the descriptions", "cupl", "`cupl`, `text`"),
    ("the descriptions, and what the pictures call for", "kpl", "`kpl`"),
)


def other_sentences(found: dict[str, Any]) -> str:
    """What is left of the accuracy when half of the sentences go."""

    def cell(each: dict[str, Any]) -> str:
        low, high = each["middle"]
        return f"{100 * each['mean']:.1f} ({100 * low:.1f} to {100 * high:.1f}), {100 * each['lowest']:.1f}"

    draws, sentences = found["real"]["half_of_the_sentences"]["draws"], found["real"]["sentences"]
    rows = [
        f"| `{method}` | " + " | ".join(cell(found[name]["half_of_the_sentences"][method]) for name in PICTURES) + " |"
        for method in ("cupl", "kpl")
    ]
    return (
        f"The pack has {sentences} sentences. With a random half of each class's, {draws} times: the mean accuracy,\n"
        "the range of the middle 95 % of the draws, and the lowest.\n\n"
        "| method | real cells | rendered cells |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def lint_precision(found: dict[str, Any]) -> str:
    """What share of the findings is right, rule by rule, and what share of the faults is found, on three samples."""
    samples = found["samples"]

    def spoken(each: dict[str, float]) -> str:
        return f"{100 * each['share']:.0f} % ({100 * each['low']:.0f} to {100 * each['high']:.0f})"

    def cell(each: dict[str, float] | None) -> str:
        return f"{each['right']} of {each['of']}" if each else "—"

    lines = ["| | ImageNet-1k and Food-101 | pets, held out | eleven medical sets |", "|---|---|---|---|"]
    labels = {
        "precision_of_a_finding": "**precision**: a sentence with a finding has a fault",
        "recall": "**recall**: a sentence with a fault has a finding",
        "recall_of_content": "recall of `K301` to `K304` alone",
        "missed": "a sentence without a finding has a fault",
    }
    for key, label in labels.items():
        lines.append(f"| {label} | " + " | ".join(spoken(samples[name][key]) for name in samples) + " |")
    for code in sorted({code for each in samples.values() for code in each["precision"]}):
        cells = " | ".join(cell(each["precision"].get(code)) for each in samples.values())
        lines.append(f"| right: `{code}` {RULES[code].name} | {cells} |")
    written = found["written"]
    halves = [
        f"{each['faulty_found']['right']} of {each['faulty_found']['of']} faults and marks"
        f" {each['clean_flagged']['right']} of {each['clean_flagged']['of']} clean ones"
        for each in (written["held out"], written["tuned"])
    ]
    lines += [
        "",
        "Of 195 medical sentences written for this, in the half that was held out while the rules were made it",
    ]
    lines += [f"finds {halves[0]}, in the other half", f"{halves[1]}."]
    return "\n".join(lines) + "\n"


def lint_seconds(found: dict[str, Any]) -> str:
    """How long a large file takes."""
    time, machine = found["time"], found["machine"]
    load, lint, opened, key = (
        f"{time['seconds'][name]['wall']:.2f} s ({time['seconds'][name]['cpu']:.2f} s)"
        for name in ("load", "lint", "open_review", "accept")
    )
    return (
        f"A YAML file of {time['classes']} classes and {time['sentences']} sentences ({time['bytes'] / 1e6:.1f} MB),\n"
        f"on the clock and, in brackets, of the processor, on {machine['processors']} cores with\n"
        f"Python {machine['python']}: it is loaded in {load} and linted in {lint};\n"
        f"a review opens in {opened} and answers a keypress, with the file checked\n"
        f"and written whole, in {key}.\n"
    )


PLANTED = {"class": "another class", "retinal-oct": "retinal scans"}


def insight_marked(found: dict[str, Any]) -> str:
    """What share of the planted and of the genuine sentences is marked."""

    def marked(each: dict[str, Any]) -> str:
        return f"{100 * each['marked']:.0f} ({100 * each['range'][0]:.0f} to {100 * each['range'][1]:.0f})"

    head = ("planted from", "k", "planted: marked, %", "planted: does the work, %")
    lines = [f"| {' | '.join(head)} | genuine: marked, % | genuine: does the work, % |", "|---" * 6 + "|"]
    alone = found["nothing planted"]["genuine"]
    lines.append(f"| nothing | 0 | | | {100 * alone['marked']:.0f} | {100 * alone['does the work']:.0f} |")
    for entry in found["planted"]:
        sides = [f"{marked(entry[side])} | {100 * entry[side]['does the work']:.0f}" for side in ("planted", "genuine")]
        lines.append(f"| {PLANTED[entry['from']]} | {entry['k']} | {' | '.join(sides)} |")
    return "\n".join(lines) + "\n"


def insight_dropped(found: dict[str, Any]) -> str:
    """What dropping all that is marked does to accuracy."""

    def gain(each: dict[str, Any], way: str) -> str:
        # adding zero makes a rounded -0 one without a sign
        low, mean, high = (
            round(100 * v, 1) + 0.0 for v in (each[way]["interval"][0], each[way]["gain"], each[way]["interval"][1])
        )
        return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"

    head = "planted from | k | text alone, % | marked dropped | as many dropped blindly | `kpl`, % | marked dropped"
    lines = [f"| {head} |", "|---" * 7 + "|"]
    for entry in ({"from": "", "k": 0, **found["nothing planted"]}, *found["planted"]):
        text, own = entry["text"], entry["kpl"]
        cells = (
            PLANTED.get(entry["from"], "nothing"),
            str(entry["k"]),
            f"{100 * text['as it is']['accuracy']:.1f}",
            gain(text, "marked dropped"),
            gain(text, "as many dropped blindly"),
            f"{100 * own['as it is']['accuracy']:.1f}",
            gain(own, "marked dropped"),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def insight_seconds(found: dict[str, Any]) -> str:
    """How long a large base takes."""
    time, machine = found["speed"], found["machine"]
    return (
        f"The arithmetic for {time['classes']} classes, {time['sentences']} sentences, {time['pictures']} pictures\n"
        f"(512 features) takes {time['seconds']:.0f} s on {machine['processors']} cores, of which"
        f" {time['seconds'] - time['without_neighbours_elsewhere']:.0f} s for the nearest sentences of other\n"
        "classes, which the report leaves out. Reading the sentences comes first, once: they are kept.\n"
    )


def contest_worst(found: dict[str, Any]) -> str:
    """Worst case of each method of the contest."""
    return markdown(*summary(found["figures"]))


def contest_losses(found: dict[str, Any]) -> str:
    """Where kpl is behind."""
    return markdown(*losses(found["figures"]))


def contest_doubt(found: dict[str, Any]) -> str:
    """Whether kpl could know that it is behind."""
    return doubt(found["figures"])


def method_calibration(found: dict[str, Any]) -> str:
    """How far confidence is from the rate of being right on each ground, and what the two halves said."""
    rows = []
    for ground, regimes in found["figures"].items():
        own = {regime: by["kpl"] for regime, by in regimes.items() if "half_agreement" in by["kpl"]}
        worst = max(own, key=lambda regime: own[regime]["ece"])
        means = [sum(each[key] for each in own.values()) / len(own) for key in ("ece", "confidence", "half_agreement")]
        right = sum(each["accuracy"]["value"] for each in own.values()) / len(own)
        rows.append([ground, *(f"{mean:.2f}" for mean in means[:2]), f"{right:.2f}", f"{means[2]:.2f}"])
        rows[-1].append(f"{own[worst]['ece']:.2f} {worst}")
    header = ["mean over the regimes of", "ECE", "confidence", "accuracy", "agreement of two halves", "worst ECE"]
    return markdown(header, rows)


def contest_grounds(found: dict[str, Any]) -> str:
    """Every method in every regime, ground by ground."""
    return "\n".join(f"**{t}**\n\n{markdown(h, rows)}" for t, h, rows in tables(found["figures"], found["grounds"]))


def contradicted(found: dict[str, Any]) -> str:
    """How well planted sentences are found: the table of the contest."""
    every = tables(found["figures"], found["grounds"])
    return next(markdown(header, rows) for title, header, rows in every if title.startswith("Wrong sentences"))


def few(found: dict[str, Any]) -> str:
    """Accuracy with few pictures, indented as part of a list."""
    cells, scenes = found["blood cells"], found["whurs19-clip-vit-b-32"]
    header = ["pictures", "blood cells, 8 kinds, `mini`: averaged", "`kpl`"]
    header += ["aerial scenes, 19 classes, CLIP ViT-B/32: averaged", "`kpl`"]
    rows = [
        [size, *(f"{100 * by[name]['accuracy']:.1f} ± {100 * by[name]['half']:.1f}" for by in pair for name in by)]
        for size in cells
        if (pair := (cells[size], scenes[size]))
    ]
    return "".join(f"  {line}\n" for line in markdown(header, rows).splitlines())


def findings(found: dict[str, Any]) -> str:
    """How well findings are ranked and decided, several a picture."""
    ways = [way for way in found["mean"] if way != "best single"]
    body = [[name, *(f"{told[way]:.3f}" for way in ways)] for name, told in found.items() if name != "machine"]
    return markdown(["findings", *ways], body)


def unlisted(found: dict[str, Any]) -> str:
    """What `--other` finds and costs."""
    rows = [(name, row) for name, row in found.items() if name != "machine"]
    keys = ("auroc", "found", "lost", "worst")
    body = [[name, *(f"{row[key]:.3f}" if key in row else "" for key in keys)] for name, row in rows]
    return markdown(["pictures", "AUROC", "found", "lost", "most lost in one case"], body)


def pooling(found: dict[str, Any]) -> str:
    """AUROC of a finding by pool, and how far each pool falls behind the best."""
    pools, half = list(found["worst"]), found["volumes"] // 2
    rows = []
    for each in found["settings"]:
        cells = [(each["pools"][name]["auroc"], each["pools"][name]["interval"]) for name in pools]
        shown = f"{each['slices']} of {found['slices']}"
        rows.append([each["finding"], shown, *(f"{area:.2f} ({low:.2f} to {high:.2f})" for area, (low, high) in cells)])
    rows.append(["**furthest behind the best**", "", *(f"{found['worst'][name]:.3f}" for name in pools)])
    behind = [max(e["pools"]["mean"]["auroc"] - e["pools"][n]["auroc"] for e in found["settings"]) for n in pools]
    rows.append(["**furthest behind `mean`**", "", *(f"{max(each, 0):.3f}" for each in behind)])
    said = f"AUROC with its 95 % interval over {half} volumes with the finding and {half} without:\n\n"
    return said + markdown(["finding", "slices that show it", *(f"`{name}`" for name in pools)], rows)


def slide_pooling(found: dict[str, Any]) -> str:
    """AUROC of a slide with parasites by pool, and how far each pool falls behind the best where any finds them."""
    pools, half = list(found["worst"]), found["slides"] // 2
    rows = []
    for each in found["settings"]:
        cells = [(each["pools"][name]["auroc"], each["pools"][name]["interval"]) for name in pools]
        rows.append([f"{each['share']:.1%}", *(f"{area:.2f} ({low:.2f} to {high:.2f})" for area, (low, high) in cells)])
    findable = [each for each in found["settings"] if each["share"] >= FINDABLE]
    worst = [max(each["pools"][name]["behind_best"] for each in findable) for name in pools]
    rows.append(["**furthest behind the best, from 1 % on**", *(f"{each:.3f}" for each in worst)])
    said = f"AUROC with its 95 % interval over {half} slides with parasites and {half} without:\n\n"
    return said + markdown(["red cells with a parasite", *(f"`{name}`" for name in pools)], rows)


def slide_cost(found: dict[str, Any]) -> str:
    """What tiles of slides cost, and a very large slide."""
    tiles, large = found["tiles"], found["large"]
    said = [
        (
            f"{tiles['tiles']} tiles of {tiles['side']} pixels of a real Aperio slide, read and encoded by `mini`",
            f"{tiles['ratio']:.2f} times as fast as the same tiles as JPEG files",
        ),
        (
            "`kpl plan` of that slide, with the start of the command",
            f"{found['plan']['seconds']:.1f} s of a processor",
        ),
        (
            f"a drawn slide of {large['side']} x {large['side']} pixels, {large['tiles']} tiles of tissue",
            f"planned in {large['plan']:.1f} s; {large['missing']} tiles not read, {large['twice']} read twice, "
            f"{large['glass']} of glass; {large['peak_gb']:.2f} GB of memory",
        ),
    ]
    return markdown(["what", "figure"], [list(each) for each in said])


FINDABLE = 0.01  # of the red cells: below, no pool is beyond chance


def new_site(found: dict[str, Any]) -> str:
    """How many lots of pictures are called foreign, at the same place and at others."""
    rows, sizes = [], (10, 30, 100)
    for name in ("real cells", "drawn cells"):
        places = dict.fromkeys(each["place"] for each in found["grounds"][name])
        for place in places:
            own = {each["pictures"]: each for each in found["grounds"][name] if each["place"] == place}
            shift = f"{own[sizes[-1]]['shift']:.2f}"
            rows.append([name, place, shift, *(f"{own[size]['share']:.1%}" for size in sizes)])
    aerial = [each for name, own in found["grounds"].items() if name.startswith("whurs19") for each in own]
    most = [max(each["share"] for each in aerial if each["pictures"] == size) for size in sizes]
    rows.append(["aerial scenes", "the same place, worst of six encoders", "", *(f"{each:.1%}" for each in most)])
    said = f"Share of {found['lots']} lots of so many pictures that are called foreign:\n\n"
    return said + markdown(["pictures", "place", "shift", *(f"{size} pictures" for size in sizes)], rows)


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Lay a table out."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


TABLES = (
    ("contest.md", "contest", contest_worst),
    ("contest.md", "contest", contest_losses),
    ("contest.md", "contest", contest_doubt),
    ("contest.md", "contest", contest_grounds),
    ("knowledge.md", "contest", contradicted),
    ("knowledge.md", "insight", insight_marked),
    ("knowledge.md", "insight", insight_dropped),
    ("knowledge.md", "insight", insight_seconds),
    ("evaluating.md", "findings", findings),
    ("knowledge-value.md", "knowledge_value", knowledge_value),
    ("knowledge-value.md", "knowledge_value", other_sentences),
    ("limits.md", "few", few),
    ("linting.md", "lint", lint_precision),
    ("linting.md", "lint", lint_seconds),
    ("method.md", "contest", method_calibration),
    ("method.md", "unlisted", unlisted),
    ("medical.md", "pooling", pooling),
    ("pathology.md", "slide_pooling", slide_pooling),
    ("pathology.md", "slides", slide_cost),
    ("models.md", "new_site", new_site),
)

if __name__ == "__main__":
    main()
