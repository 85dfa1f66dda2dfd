"""`kpl knowledge new` and `kpl knowledge write`: begin a knowledge file, and let a language model write in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from kpl.authoring import (
    DEFAULT_STRATEGIES,
    STRATEGIES,
    Asker,
    ChatServer,
    KeptCalls,
    LanguageModel,
    LlamaFile,
    Plan,
    begin_knowledge,
    copy_pack,
    read_passages,
    write_descriptions,
)
from kpl.authoring.drafting import Written
from kpl.authoring.server import TIMEOUT
from kpl.cli.options import SHOWN, Knowledge
from kpl.cli.progress import stages
from kpl.cli.terminal import say
from kpl.errors import InputError
from kpl.knowledge import DEFAULT_TEMPLATE, own_pack, pack_names

Extra = Annotated[
    str | None,
    typer.Option(
        metavar="JSON",
        help="Further parameters for the server, as they are, for example "
        '\'{"chat_template_kwargs": {"enable_thinking": false}}\'.',
    ),
]


def new(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="The file to write; .yaml is added to a bare name.")],
    classes: Annotated[
        str, typer.Option(help="Class names with commas between them, or a text file (.txt) with one on each line.")
    ],
    modality: Annotated[str | None, typer.Option(help="The kind of picture, for example 'chest X-ray'.")] = None,
    title: Annotated[str | None, typer.Option(help="The title of the task; left out, the file's name.")] = None,
    template: Annotated[
        str, typer.Option(help="The prompt, with {description} and perhaps {class}.")
    ] = DEFAULT_TEMPLATE,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
) -> None:
    """Begin a knowledge file: the classes and remarks on how to go on, to be edited or written by a language model.

    Examples:

      kpl knowledge new chest-tb --classes "tuberculosis, normal" --modality "chest X-ray"

      kpl knowledge new birds.yaml --classes birds.txt --modality photograph
    """
    path = Path(name if Path(name).suffix else f"{name}.yaml")
    base = begin_knowledge(
        path, _class_names(classes), title=title, modality=modality, template=template, overwrite=overwrite
    )
    say(f"wrote {path}: {len(base.classes)} classes. Describe them by hand, or with")
    say(f"  kpl knowledge write {path} --llm http://localhost:11434/v1 --model NAME")


def write(
    knowledge: Knowledge,
    llm: Annotated[
        str | None,
        typer.Option(metavar="URL|FILE", help="A server that speaks chat completions, or a .gguf file to run here."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model, as the server names it.")] = None,
    per_class: Annotated[int, typer.Option(help="Descriptions that each class is to have.")] = 50,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            help=f"How to ask, several times if you like: {', '.join(STRATEGIES)}. "
            f"Left out: {' and '.join(DEFAULT_STRATEGIES)}."
        ),
    ] = None,
    sources: Annotated[
        list[Path] | None, typer.Option(help="A text file to draw from and to cite; several times if you like.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="0 to 2; left out, the server's own.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed asks anew, and gets other answers.")] = 0,
    samples: Annotated[int, typer.Option(help="How often each question is asked, each time with another seed.")] = 1,
    extra: Extra = None,
    max_calls: Annotated[int | None, typer.Option(min=0, help="New calls at most.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=0, help="Begin no new call after this many tokens, of questions and answers.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Questions under way at once.")] = 4,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for one answer.")] = TIMEOUT,
    retries: Annotated[
        int,
        typer.Option(
            min=0,
            max=20,
            help="Further tries after a failure that may pass; one at most where no answer came.",
        ),
    ] = 5,
    calls: Annotated[
        Path | None, typer.Option(help="The folder of kept calls; left out, NAME.calls beside the file.")
    ] = None,
    replay: Annotated[bool, typer.Option("--replay", help="Use kept calls only, without a model.")] = False,
    out: Annotated[Path | None, typer.Option(help="The file for a pack's copy; left out, PACK.yaml here.")] = None,
) -> None:
    """Let a language model write descriptions, up to a number for each class; what is in the file stays as it is.

    Every answer is kept: the same command asks nothing twice. A key is taken from KPL_LLM_KEY or OPENAI_API_KEY.

    Examples:

      kpl knowledge write chest-tb.yaml --llm http://localhost:11434/v1 --model qwen3:8b --per-class 50

      kpl knowledge write food-101 --llm http://localhost:11434/v1 --model qwen3:8b --max-calls 500

      kpl knowledge write chest-tb.yaml --model qwen3:8b --replay
    """
    path = _target(knowledge, out)
    if model is None and llm is not None and llm.lower().endswith(".gguf"):
        model = Path(llm).stem
    if model is None:
        raise InputError("--model is missing: give the model's name as its server knows it, for example qwen3:8b")
    plan = Plan(model, per_class, tuple(strategy or DEFAULT_STRATEGIES), temperature, seed, samples, _extra(extra))
    passages = read_passages(sources or [])
    kept = KeptCalls(calls or path.with_name(f"{path.stem}.calls"))
    machine = None if replay else _machine(llm, timeout, retries)
    asker = Asker(kept, machine, max_calls=max_calls, max_tokens=max_tokens)
    try:
        with asker.alone(), stages(note=lambda: _status(asker, machine)) as tell:
            written = write_descriptions(path, plan, asker, passages=passages, at_once=concurrency, tell=tell)
    finally:
        if machine:
            machine.close()
    _report(path, per_class, asker, written, kept.folder)


def _status(asker: Asker, machine: LanguageModel | None) -> str:
    """Say what was spent so far, and below it what goes wrong."""
    trouble = machine.trouble if isinstance(machine, ChatServer) else ""
    return f"{asker.spent}\n{trouble}".rstrip()


def _report(path: Path, per_class: int, asker: Asker, written: Written, folder: Path) -> None:
    """Say what came, what is short, and what it took."""
    if not asker.spent.calls and not asker.spent.kept:
        say(
            f"{path}: every class has {per_class} descriptions or more, so nothing was asked: give a larger --per-class"
        )
        return
    say(f"{path}: {written}")
    if written.negated:
        say(f"{written.negated} descriptions are negated, because the model said nothing on their absence")
    for key, count in list(written.short.items())[:SHOWN]:
        say(f"look at: class {key!r} has {count} of {per_class} descriptions")
    if len(written.short) > SHOWN:
        say(f"... and {len(written.short) - SHOWN} more classes")
    if written.short:
        say("nothing more that is clean came for them: another --seed, --strategy or --model may bring more")
    if asker.spent.cut:
        say(
            f"{asker.spent.cut} answers were cut at the limit of their length, their last sentence is left out: raise "
            "that limit at the server, or give a smaller --per-class"
        )
    for reason, count in asker.spent.unusable.most_common(SHOWN):
        say(f"{count} answer{'s' if count > 1 else ''} could not be used and will be asked for again: {reason}")
    if asker.spent.left_out:
        say(f"the server does not take {', '.join(asker.spent.left_out)}: asked without")
    say(f"{asker.spent}, in {folder}")
    if any(written.added.values()):
        say(f"Nobody has read them yet. Next: kpl knowledge review {path}")


def _target(knowledge: str, out: Path | None) -> Path:
    """Find the file to write in; of a pack, its copy, unless it is the user's own file already."""
    if out is None and (own := own_pack(knowledge)):
        return own
    if knowledge in pack_names():
        path = out or Path(f"{knowledge}.yaml")
        copy_pack(knowledge, path)
        return path
    if out is not None:
        raise InputError(f"--out {out}: only for a pack: {knowledge} is written in place, so copy the file first")
    return Path(knowledge)


def _machine(llm: str | None, timeout: float, retries: int) -> LanguageModel:
    if llm is None:
        raise InputError("--llm is missing: give a server such as http://localhost:11434/v1, or --replay kept calls")
    if llm.lower().endswith(".gguf"):
        return LlamaFile(Path(llm))
    return ChatServer(llm, timeout=timeout, retries=retries)


def _extra(text: str | None) -> dict[str, Any]:
    """Read the parameters for the server, a JSON object."""
    try:
        extra = json.loads(text or "{}", parse_constant=_no_json)
    except (ValueError, RecursionError):
        extra = None
    if not isinstance(extra, dict):
        mend = """give one such as '{"reasoning_effort": "low"}'"""
        raise InputError(f"--extra {text!r:.100}: not a JSON object: {mend}")
    return extra


def _no_json(name: str) -> None:
    raise ValueError(name)


def _class_names(classes: str) -> list[str]:
    """Read names from the option or from the file that it names."""
    if not classes.strip().lower().endswith(".txt"):
        return [name for name in classes.split(",") if name.strip()]
    path = Path(classes.strip())
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text: save the file with encoding UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): give class names, or a file of them") from error
    return [line for line in lines if line.strip()]
