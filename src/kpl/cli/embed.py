"""`kpl embed`: pictures to features, once; later commands take the features."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kpl.cli.options import Address, On, chosen_pictures, gathers, on_cluster
from kpl.cli.progress import stages
from kpl.cli.terminal import say
from kpl.errors import InputError

if TYPE_CHECKING:
    from kpl.embeddings import FeatureFolder, Lots, Part, PartDone, StoredFeatures
    from kpl.images import Asked


class _Stored(StrEnum):
    float32 = "float32"
    float16 = "float16"


@gathers("pictures", chosen_pictures, encoder="mini")
def embed(
    ctx: typer.Context,
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="SCANS...", help="Folders (any depth) or files, or a table of them.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", help="The feature folder to make or go on with; s3://... with the extra cloud."),
    ] = None,
    *,
    pictures: dict[str, Any],
    dtype: Annotated[_Stored, typer.Option(help="How features are stored.")] = _Stored.float32,
    shard_size: Annotated[
        int | None, typer.Option("--shard-size", min=1, help="Pictures a file of features. Default: 1024.")
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Embed only one of N parts, 0/N to N-1/N; any number of processes at once."),
    ] = None,
    join: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", help="Check all parts of FOLDER and make it of them; nothing else but --verify."
        ),
    ] = None,
    on: On = None,
    address: Address = None,
    verify: Annotated[bool, typer.Option("--verify", help="Compare what files hold, not sizes and times.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace features of other pictures there.")] = False,
) -> None:
    """Embed pictures into a feature folder. Interrupted, the same command goes on where it stopped.

    Examples:

      kpl embed SCANS/ --encoder mini --out features/

      kpl classify features/ --knowledge blood-cells --out run/

      kpl embed manifest.csv --out features/ --part 3/64

      kpl embed --join features/

      kpl embed manifest.csv --out features/ --on ray --address head:6379
    """
    if join is not None:
        _join(ctx, join, verify=verify)
        return
    if not inputs or not out:
        raise InputError("give pictures and where their features go: kpl embed SCANS/ --out features/")
    _embed(inputs, out, pictures, dtype.value, shard_size, part, on, address, verify=verify, overwrite=overwrite)


def _embed(
    inputs: list[str],
    out: str,
    pictures: dict[str, Any],
    dtype: Any,  # noqa: ANN401 - one of two names
    shard_size: int | None,
    part: str | None,
    on: str | None,
    address: str | None,
    *,
    verify: bool,
    overwrite: bool,
) -> None:
    from kpl.embeddings import Making, Part, embed_on_ray, embed_part, embed_to
    from kpl.encoders import load_encoder
    from kpl.runs.source import asked_of, card_of

    own = Part.read(part) if part is not None else None
    coder = pictures.pop("encoder")
    _check_engine(on, address, own, coder, out)
    more: dict[str, Any] = {"overwrite": overwrite}
    with stages() as progress:
        lots = _planned(inputs, asked_of(None, pictures.pop("asked"), partial(card_of, coder), progress), shard_size)
        encoder, more["progress"] = (
            load_encoder(coder) if isinstance(coder, str) else coder,
            partial(progress, "pictures"),
        )
        how = Making(encoder, dtype, verify=verify, **pictures)
        if own is not None:
            done = embed_part(lots, how, out, own, **more)
        elif on == "ray":
            folder: FeatureFolder | StoredFeatures = embed_on_ray(lots, how, out, coder, address=address, **more)
        else:
            folder = embed_to(lots, how, out, **more)
    for note in lots.notes:
        say(f"Note: {note}")
    if own is None:
        _tell_folder(folder, out)
    else:
        _tell_part(own, done, out)


def _check_engine(on: str | None, address: str | None, own: Part | None, coder: object, out: str) -> None:
    """Refuse options that do not go together."""
    cluster = on_cluster(on, address)
    if cluster and own is not None:
        raise InputError("--part and --on ray are two ways of sharing the work: leave out one")
    if cluster and not isinstance(coder, str):
        raise InputError("with --on ray each worker loads the encoder: leave out --device and what allows code")
    if cluster and out.startswith("memory://"):
        raise InputError("each process has a memory:// of its own: give --out a folder or a store that all nodes see")


def _planned(inputs: list[str], asked: Asked, shard_size: int | None) -> Lots:
    from kpl.embeddings import SHARD_SIZE, Listed, open_manifest
    from kpl.images import find_inputs

    size = shard_size or SHARD_SIZE
    if (manifest := open_manifest(inputs, asked, size)) is not None:
        return manifest
    found = find_inputs(inputs, asked)
    return Listed(found.pictures, size, found.units, found.set_aside, found.asked, found.notes)


def _refuse_beside_join(ctx: typer.Context) -> None:
    """Refuse what joining has no use for, rather than pass it over."""
    for each in ctx.command.params:
        source = ctx.get_parameter_source(each.name or "")
        if each.name == "inputs" and not ctx.params["inputs"]:  # typer 0.26 says that an empty list was given
            continue
        if source is not None and source.name == "COMMANDLINE" and each.name not in ("join", "verify"):
            name = each.opts[0] if each.opts[0].startswith("-") else "SCANS"
            raise InputError(f"--join takes a folder and --verify, nothing else: leave out {name}")


def _join(ctx: typer.Context, out: str, *, verify: bool) -> None:
    from kpl.embeddings import join_parts

    _refuse_beside_join(ctx)
    with stages() as progress:
        folder = join_parts(out, verify=verify, progress=partial(progress, "shards"))
    _tell_folder(folder, out)


def _tell_part(part: Part, done: PartDone, out: str) -> None:
    kept = f" ({done.reused} were there already)" if done.reused else ""
    aside = f", {done.set_aside} set aside" if done.set_aside else ""
    say(f"part {part.number}/{part.of}: {done.rows} pictures{kept} in {done.shards} shards{aside}")
    if done.joined:
        say(f"{out.rstrip('/')}/ is finished: nothing is to be done")
    elif done.missing:
        say(f"{done.missing} shards of other parts are not there yet; when all are: kpl embed --join {out}")
    else:
        say(f"All parts are there: kpl embed --join {out}")


def _tell_folder(folder: FeatureFolder | StoredFeatures, out: str) -> None:
    kept = f" ({folder.reused} were there already)" if folder.reused else ""
    say(f"{folder.n} pictures{kept}, {folder.d} features each, in {out.rstrip('/')}/")
    if folder.set_aside:
        say(f"{len(folder.set_aside)} set aside, listed with their reasons in index.json; the first:")
        say(f"  {folder.set_aside[0].id!r}: {folder.set_aside[0].reason}")
