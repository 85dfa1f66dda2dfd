"""`kpl encoders`: what can read pictures and sentences here, and how to get more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from kpl.cli.progress import stages
from kpl.cli.shown import Console, plain, say, say_json

__all__ = ["ENCODER_HELP", "app"]

ENCODER_HELP = "Name of `kpl encoders list`, openclip:ARCHITECTURE/TAG, hf:ORG/NAME, or a folder or .kplenc file."

app = typer.Typer(no_args_is_help=True, help="List encoders, get them, carry them, check them.")

Spec = Annotated[str, typer.Argument(metavar="ENCODER", help=ENCODER_HELP)]
RemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run Python code that lies beside the weights. Read it first.")
]


@app.command("list")
def list_encoders() -> None:
    """List the encoders by name: what each was made for, its terms, its size, and whether it is here.

    Example:

      kpl encoders list
    """
    from kpl.encoders import catalogue, encoder_names, load_card, parse_spec

    table = Table.grid(padding=(0, 2))
    for name in encoder_names():
        here = parse_spec(name).folder is not None
        told = load_card(name) if here else catalogue()[name]
        megabytes = catalogue()[name].megabytes if name in catalogue() else 0
        facts = [
            *([f"{megabytes} MB"] if megabytes else []),
            *([f"{told.image_size} pixels"] if told.image_size else []),
            *([f"{told.context_length} tokens"] if told.context_length else []),
            f"loader {told.loader}",
            "here" if here else f"get it: kpl encoders pull {name}",
        ]
        about = Text.assemble(told.title, "\n", (f"{told.terms}\n{', '.join(facts)}", "dim"))
        table.add_row(plain(name, style="bold green" if here else "bold"), about)
    Console().print(table)


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
    """
    from kpl.encoders import pull as get

    with stages(in_bytes=True) as progress:
        card = get(
            name,
            revision=revision,
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
    folder = parse_spec(name).folder
    with stages(in_bytes=True) as progress:
        size = write_bundle(unpacked(Path(folder or name)), out, overwrite=overwrite, progress=progress)
    say(f"{size / 1e6:.0f} MB in {out}. On the other machine: kpl encoders check {out}")


@app.command()
def export(
    name: Spec,
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder for the exported encoder.")],
    onnx: Annotated[bool, typer.Option("--onnx", help="To ONNX, the one form there is.")] = True,
    int8: Annotated[bool, typer.Option("--int8", help="Weights in 8 bits: smaller, faster, less exact.")] = False,
    trust_remote_code: RemoteCode = False,
) -> None:
    """Export both towers to ONNX: an encoder that needs no torch. Refused unless it agrees with the original.

    Examples:

      kpl encoders export biomedclip --onnx --out biomedclip-onnx

      kpl encoders export biomedclip --onnx --int8 --out biomedclip-int8
    """
    from kpl.encoders import load_encoder, parse_spec, unpacked
    from kpl.encoders.export import export_onnx

    del onnx
    encoder = load_encoder(name, device="cpu", trust_remote_code=trust_remote_code)
    folder = parse_spec(name).folder
    with stages() as progress:
        made = export_onnx(encoder, out, source=folder and unpacked(folder), int8=int8, progress=progress)
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
    if found.hashed:
        say(f"Hashes: {found.hashed} files are what they were.")
    else:
        say("Hashes: none beside it; `kpl encoders pull` makes them.")
    natively = "" if found.cut_off else " to Python's calls alone: this system allows no process without one"
    say(f"Self-test: passed, with the network forbidden{natively}.")
    if found.golden is None:
        say("Golden vectors: none beside it; `kpl encoders pull` makes them.")
    else:
        say(f"Golden vectors: equal to the model's own library within {found.golden:.1e}.")
