"""`kpl knowledge lint` and `rules`: everything in a knowledge file that a person should mend or know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from kpl.cli.options import Knowledge
from kpl.cli.terminal import Console, complain, plain, say, say_json
from kpl.errors import KplError
from kpl.knowledge import RULES, Finding, LintReport, fix_knowledge, lint_knowledge

if TYPE_CHECKING:
    from kpl.knowledge.lint.encoded import EncoderRules

_COULD_NOT = 2
"""Exit code of a check that could not be made, or not wholly."""


def lint(
    knowledge: Knowledge,
    encoder: Annotated[
        str | None, typer.Option(help="Also count tokens, unknown words and near-duplicates as this encoder does.")
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what can be mended safely; comments and order stay.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Findings of each rule to print; 0 prints all.")] = 20,
) -> None:
    """Look through a knowledge file for everything that a person should mend or know.

    The exit code is 0 where there are only notices, 1 where there is an error or a warning, and 2 where the file or the
    encoder could not be read; without its encoder a file is still judged by the other rules. A finding that is meant is
    set aside in the file with "ignore: [{rule: K301, reason: ...}]" at the sentence, the class or the top.

    Examples:

      kpl knowledge lint my-classes.yaml --encoder mini

      kpl knowledge lint my-classes.yaml --fix
    """
    try:
        mended = fix_knowledge(knowledge) if fix else {}
        extra, not_run = _encoder_rules(encoder)
        report = lint_knowledge(knowledge, extra)
    except KplError as error:
        complain(str(error))
        raise typer.Exit(_COULD_NOT) from error
    code = _COULD_NOT if not_run else int(report.failed)
    if as_json:
        say_json({**report.to_json(), "fixed": mended, "not_run": not_run})
    else:
        _tell(knowledge, report, mended, limit)
    if not_run:
        complain(f"the rules of the encoder were not run (K501 to K503): {not_run}")
    raise typer.Exit(code)


def _tell(knowledge: str, report: LintReport, mended: dict[str, int], limit: int) -> None:
    """Print the findings, what was mended, and a line that sums up."""
    shown: dict[str, int] = {}
    for finding in report.findings:
        code = finding.rule.code
        shown[code] = shown.get(code, 0) + 1
        if not limit or shown[code] <= limit:
            say(_line(finding))
    for code, count in shown.items():
        if limit and count > limit:
            say(f"... and {count - limit} more of {code} ({RULES[code].name}): --limit 0 prints all")
    for code, count in mended.items():
        say(f"mended {code} ({RULES[code].name}): {count} {RULES[code].fix}")
    kinds = ("error", "warning", "notice")
    counts = ", ".join(f"{sum(f.rule.severity == kind for f in report.findings)} {kind}s" for kind in kinds)
    silenced = f", {len(report.silenced)} set aside with a reason" if report.silenced else ""
    say(f"{knowledge}: {report.classes} classes, {report.descriptions} descriptions: {counts}{silenced}")


def rules() -> None:
    """List the rules of lint: code, name, severity, and why.

    Example:

      kpl knowledge rules
    """
    table = Table("code", "name", "severity", "why", "--fix")
    for rule in RULES.values():
        table.add_row(rule.code, rule.name, rule.severity, plain(rule.why), rule.fix)
    Console().print(table)


def _line(finding: Finding) -> str:
    quoted = f" · {finding.text if len(finding.text) <= 80 else finding.text[:79] + '…'}" if finding.text else ""
    return f"{finding}{quoted}"


def _encoder_rules(name: str | None) -> tuple[list[EncoderRules], str | None]:
    """Return the rules of an encoder, or none and why it cannot be asked."""
    if name is None:
        return [], None
    from kpl.encoders import load_encoder
    from kpl.knowledge.lint.encoded import EncoderRules

    try:
        loaded = load_encoder(name)
    except KplError as error:
        return [], str(error)
    made = EncoderRules(
        name,
        loaded.context_length,
        loaded.card.modalities,
        loaded.count_tokens,
        loaded.unknown_words,
        loaded.encode_texts,
    )
    return [made], None
