"""`kpl encoders`: what can read pictures and sentences here, and how to get more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from kpl.cli.options import ENCODER_HELP
from kpl.cli.progress import stages
from kpl.cli.terminal import Console, plain, say, say_json
from kpl.errors import InputError

if TYPE_CHECKING:
    from kpl.encoders import CatalogueEntry

app = typer.Typer(no_args_is_help=True, help="List encoders, get them, carry them, check them.")

Spec = Annotated[str, typer.Argument(metavar="ENCODER", help=ENCODER_HELP)]
RemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run Python code that lies beside the weights. Read it first.")
]


@app.command("list")
def list_encoders(
    wanted: Annotated[
        str | None,
        typer.Option("--for", metavar="WORDS", help="Only those for this kind of picture or part of the body."),
    ] = None,
) -> None:
    """List the encoders: what each was made for, its terms, its size, what of that was verified, whether it is here.

    Examples:

      kpl encoders list

      kpl encoders list --for dermoscopy
    """
    from kpl.encoders import encoder_names, made_for, parse_spec, suited, unusable
    from kpl.errors import KplError

    names = encoder_names() if wanted is None else suited(wanted)
    if not names:
        known = ", ".join(sorted({kind for name in encoder_names() for kind in made_for(name)}))
        raise InputError(f"no encoder in the list was made for {wanted!r}; what they were made for: {known}")
    table = Table.grid(padding=(0, 2))
    for name in names:
        found = parse_spec(name)
        if found.point:
            about = Text(
                f"offered by an installed package, at {found.point.value}; kpl encoders check {name} tells more"
            )
            table.add_row(plain(name, style="bold green"), about)
            continue
        try:
            about = _about(name, here=found.here)
        except KplError as error:  # one that is damaged does not hide the others
            about = plain(f"here, but it cannot be used: {error}")
        table.add_row(plain(name, style="bold green" if found.here else "bold"), about)
    Console().print(table)
    if wanted is None:
        for name, (_, why) in unusable().items():
            say(f"{name} cannot be used as an encoder. {why}")


def _about(name: str, *, here: bool) -> Text:
    """Title, terms, what it was made for, its size and what was verified, of one encoder."""
    from kpl.encoders import catalogue, load_card

    told = load_card(name) if here else catalogue()[name]
    known = catalogue().get(name)
    facts = [
        *([f"{known.megabytes} MB"] if known and known.megabytes else []),
        *([f"{told.image_size} pixels"] if told.image_size else []),
        *([f"{told.context_length} tokens"] if told.context_length else []),
        f"loader {told.loader}",
        "here" if here else f"get it: kpl encoders pull {name}",
    ]
    kinds, regions = (known.pictures, known.regions) if known else (told.modalities, ())
    made = f"pictures: {', '.join(kinds) or 'any'}" + (f"; part of the body: {', '.join(regions)}" if regions else "")
    lines = [told.terms, made, ", ".join(facts), _verified(name, known, here=here)]
    return Text.assemble(told.title, "\n", ("\n".join(lines), "dim"))


def _verified(name: str, entry: CatalogueEntry | None, *, here: bool) -> str:
    """What of an encoder was verified, and how: here by its own library's features, or for its entry by reading."""
    from kpl.encoders import load_card, parse_spec, unpacked
    from kpl.encoders.golden import has_golden, read_golden

    folder = parse_spec(name).folder
    if here and folder is not None:
        read_from = load_card(name).read_from
        facts = (
            f"{len(read_from)} facts with where they were read"
            if read_from
            else "where its facts were read was not noted"
        )
        if has_golden(unpacked(folder)):
            versions = read_golden(unpacked(folder)).facts.get("versions", {})
            library = (
                ", ".join(f"{key} {value}" for key, value in versions.items()) if isinstance(versions, dict) else ""
            )
            return f"verified here: equal to its own library ({library}) when it was got; {facts}"
        return f"verified: its hashes, when it is loaded; {facts}"
    return f"verified: {entry.verified}" if entry and entry.verified else "verified: nothing"


@app.command()
def advise(
    inputs: Annotated[list[str], typer.Argument(metavar="SCANS...", help="Folders (any depth) or files.")],
    knowledge: Annotated[str, typer.Option("--knowledge", "-k", help="A .yaml or .json file, or a pack's name.")],
    encoder: Annotated[
        list[str] | None, typer.Option(help="Encoder to try, again for others. Default: those here that fit.")
    ] = None,
    limit: Annotated[int, typer.Option(min=8, help="Pictures read, at most, taken evenly.")] = 200,
    json_out: Annotated[Path | None, typer.Option("--json", help="Also write everything to this file.")] = None,
    trust_remote_code: RemoteCode = False,
) -> None:
    """Compare encoders on your pictures without labels: how each spreads the texts, agrees with itself and with others.

    None of this is accuracy: encoders can agree and be wrong. It shows which cannot work, not which is right.

    Examples:

      kpl encoders advise SCANS/ --knowledge my-classes.yaml

      kpl encoders advise SCANS/ -k my-classes.yaml --encoder biomedclip --encoder medsiglip-448 --json advice.json
    """
    from kpl.cli.outputs import spare_inputs
    from kpl.files import write_file
    from kpl.runs.advising import advise as find_out

    spare_inputs([json_out], [*inputs, knowledge])
    with stages() as progress:
        found = find_out(
            inputs,
            knowledge,
            encoders=encoder or [],
            limit=limit,
            trust_remote_code=trust_remote_code,
            progress=progress,
        )
    table = Table("encoder", "made for it", "texts apart", "steady", "like the others")
    for one in found.tried:
        figures = ["" if value is None else f"{value:.2f}" for value in (one.spread, one.steady, one.alike)]
        table.add_row(plain(one.name), "" if one.problem else "yes" if one.fits else "no", *figures)
    Console().print(table)
    for one in found.tried:
        if one.problem:
            say(f"{one.name} was not tried: {one.problem}")
    say(f"Of {found.pictures} pictures, without labels; none of these is accuracy: encoders can agree and be wrong.")
    say("texts apart: 1 - cosine between classes. steady: kappa of labels learnt from two halves. 0 is chance.")
    if found.modality is None:
        say("The knowledge does not state task.modality, so nothing is said of what to get.")
    elif found.to_get:
        say(f"Made for {found.modality!r} and not here: {', '.join(found.to_get)}. kpl encoders pull NAME gets one.")
    if json_out is not None:
        write_file(json_out, json.dumps(found.as_json(), indent=1, ensure_ascii=False) + "\n")


@app.command()
def show(name: Spec) -> None:
    """Print what is known of an encoder: what it is for, its terms, its traps, and with its files here the whole card.

    Examples:

      kpl encoders show mini

      kpl encoders show medsiglip-448
    """
    from kpl.encoders import load_card, parse_spec

    found = parse_spec(name)
    told = found.entry if found.folder is None and found.entry else load_card(name)
    say_json(told.model_dump(mode="json"))


@app.command()
def pull(
    name: Spec,
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit of its repository. Default: the newest.")
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(help="The file of weights: in a repository without a configuration, or in a folder with several."),
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(help="OpenCLIP's name of the model of weights that come alone, ViT-B-16 or ViT-B-32-quickgelu."),
    ] = None,
    allow_pickle: Annotated[
        bool,
        typer.Option("--allow-pickle", help="Take weights that are only there as a pickle; kept as safetensors."),
    ] = False,
    trust_remote_code: RemoteCode = False,
) -> None:
    """Get an encoder from the hub, check it, and keep it: later commands take it by name, without the network.

    HF_HOME, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are honoured. A bundle, or a folder of your own, is kept the
    same way.

    Examples:

      kpl encoders pull biomedclip --allow-pickle

      kpl encoders pull hf:google/medsiglip-448

      kpl encoders pull openclip:ViT-L-14-336/openai

      kpl encoders pull ./biomedclip.kplenc

      kpl encoders pull hf:ORG/NAME --file epoch_50.pt --architecture ViT-B-16 --allow-pickle

      kpl encoders pull ./epoch_50.pt --architecture ViT-B-16 --allow-pickle
    """
    from kpl.encoders import pull as get

    with stages(in_bytes=True) as progress:
        card = get(
            name,
            revision=revision,
            file=file,
            architecture=architecture,
            allow_pickle=allow_pickle,
            trust_remote_code=trust_remote_code,
            progress=progress,
            announce=say,
        )
    for source in card.sources:
        say(f"{source.hub_id} at {source.revision}")
    say(f"Kept as {card.name!r}: {card.dim} features, {card.image_size} pixels, {card.context_length} tokens.")
    say(f"Use it: kpl classify SCANS/ --knowledge my-classes.yaml --encoder {card.name} --out run/")


@app.command()
def bundle(
    name: Spec,
    out: Annotated[Path, typer.Option("--out", "-o", help="A new file ending in .kplenc, or a new folder.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is there.")] = False,
) -> None:
    """Put all that an encoder needs into one artefact, with hashes, licence texts and golden vectors.

    Examples:

      kpl encoders bundle biomedclip -o biomedclip.kplenc

      kpl encoders bundle biomedclip -o biomedclip-folder
    """
    from kpl.encoders import load_card, parse_spec, unpacked, write_bundle

    load_card(name)  # what is not here is refused with the command that gets it
    found = parse_spec(name)
    if found.point:
        raise InputError(f"{name!r} is offered by an installed package: install that on the other machine")
    folder = found.folder
    with stages(in_bytes=True) as progress:
        size = write_bundle(unpacked(Path(folder or name)), out, overwrite=overwrite, progress=progress)
    say(f"{size / 1e6:.0f} MB in {out}. On the other machine: kpl encoders check {out}")


@app.command()
def export(
    name: Spec,
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder for the exported encoder.")],
    onnx: Annotated[bool, typer.Option("--onnx", help="To ONNX, the one form there is.")] = True,
    int8: Annotated[bool, typer.Option("--int8", help="Weights in 8 bits: smaller, faster, less exact.")] = False,
    bf16: Annotated[
        bool,
        typer.Option(
            "--bf16", help="Numbers of 16 bits, by OpenVINO on processors that have them: faster, nearly exact."
        ),
    ] = False,
    trust_remote_code: RemoteCode = False,
) -> None:
    """Export both towers to ONNX: an encoder that needs no torch. Refused unless it agrees with the original.

    Examples:

      kpl encoders export biomedclip --onnx --out biomedclip-onnx

      kpl encoders export biomedclip --onnx --bf16 --out biomedclip-bf16

      kpl encoders export biomedclip --onnx --int8 --out biomedclip-int8
    """
    from kpl.encoders import load_encoder, parse_spec, unpacked
    from kpl.encoders.export import Precision, export_onnx

    del onnx
    if int8 and bf16:
        raise InputError("--int8 and --bf16 are two ways to compute: give one, or export twice")
    precision: Precision = "int8" if int8 else "bf16" if bf16 else "fp32"
    encoder = load_encoder(name, device="cpu", trust_remote_code=trust_remote_code)
    folder = parse_spec(name).folder
    with stages() as progress:
        made = export_onnx(encoder, out, source=folder and unpacked(folder), precision=precision, progress=progress)
    for tower in made.parity:
        say(str(tower))
    say(f"Use it: kpl classify SCANS/ --knowledge my.yaml --encoder {out}")


@app.command()
def check(name: Spec, trust_remote_code: RemoteCode = False) -> None:
    """Load an encoder with the network forbidden, test it, and compare it with its hashes and golden vectors.

    Examples:

      kpl encoders check ./biomedclip.kplenc

      kpl encoders check ./my-model-folder
    """
    from kpl.encoders import check_encoder

    with stages(in_bytes=True) as progress:
        found = check_encoder(name, trust_remote_code=trust_remote_code, progress=progress)
    say(f"{found.card.title}. {found.card.terms[0].upper()}{found.card.terms[1:]}.")
    if found.card.loader == "adapter":
        say(f"Hashes: {len(found.card.files)} files are part of what its features are known by.")
    elif found.hashed:
        say(f"Hashes: {found.hashed} files are what they were.")
    else:
        say("Hashes: none beside it; `kpl encoders pull` makes them.")
    natively = "" if found.cut_off else " to Python's calls alone: this system allows no process without one"
    say(f"Self-test: passed, with the network forbidden{natively}.")
    if found.golden is None:
        adapted = found.card.loader == "adapter"
        say(f"Golden vectors: none{'' if adapted else ' beside it; `kpl encoders pull` makes them'}.")
    else:
        say(f"Golden vectors: equal to the model's own library within {found.golden:.1e}.")
