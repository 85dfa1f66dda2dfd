"""What the service can do, without HTTP: encoders, sessions, jobs, one-shot models."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from kpl.embeddings import FeatureFolder, TextCache, embed_in_place, embed_texts
from kpl.encoders import Encoder, load_encoder
from kpl.errors import EncoderError, InputError, KnowledgeError, PictureError, UnknownNameError
from kpl.images import SetAside, ordered_map
from kpl.knowledge import KnowledgeBase, check_tokens
from kpl.methods import Evidence, explain
from kpl.report import How
from kpl.runs import MultiLabelRun, SingleLabelRun, load_model, open_run
from kpl.runs.warnings import misfit
from kpl.server.brought import Brought, read_base
from kpl.server.clients import Places
from kpl.server.correcting import carry_corrections
from kpl.server.decoding import Decoders, Kept
from kpl.server.downloads import write_run
from kpl.server.gathering import put_together
from kpl.server.jobs import Job, Jobs
from kpl.server.limits import Limits
from kpl.server.maps import DrawnMap, MapPlan, draw_map, plan_map, seconds_a_view
from kpl.server.oneshot import Answer, OneShot
from kpl.server.opened import OpenedFindings, OpenedRun
from kpl.server.outcomes import Outcome, learn
from kpl.server.refusals import Busy, Gone, Refused, TooLarge
from kpl.server.sessions import Session, Sessions, check_place
from kpl.server.zips import is_zip, unpack

_SHARD = 256
_LOADED = 2  # encoders held in memory
_ELSEWHERE = re.compile(r"[/\\:]|^[.~]")  # no name of an encoder, but of a place


class Service:
    """Everything behind the routes.

    Args:
        limits: of what comes in.
        models: files of `kpl fit` for one-shot use; each is known by its file's stem.
        results: a folder where every finished run is kept as well; None keeps nothing.
        runs: finished runs that may be looked at and scored, those of one label a picture corrected too; each is known
            by its folder's name.
        brought: encoders and knowledge that clients may name besides those that KPL knows.
    """

    def __init__(
        self,
        limits: Limits,
        models: Sequence[Path] = (),
        results: Path | None = None,
        runs: Sequence[Path] = (),
        brought: Brought | None = None,
    ) -> None:
        self.brought = brought or Brought()
        names = [path.stem for path in models]
        if len(set(names)) < len(names):
            raise InputError(f"two models have the same name: {', '.join(sorted(names))}; rename one of the files")
        fitted = {path.stem: load_model(path) for path in models}
        folders = [path.resolve().name for path in runs]
        if len(set(folders)) < len(folders):
            raise InputError(f"two runs have the same name: {', '.join(sorted(folders))}; rename one of the folders")
        self.runs: dict[str, SingleLabelRun | MultiLabelRun] = {
            name: open_run(path) for name, path in zip(folders, runs, strict=True)
        }
        self.limits = limits
        self.results = results
        self.sessions = Sessions(limits)
        self.decoders = Decoders(limits)
        self.jobs = Jobs(limits.queue, limits.each(limits.queue))
        self.pictures = 0
        try:
            self.models = {name: OneShot(model, self.decoders, self.limits) for name, model in fitted.items()}
        except BaseException:
            self.models = {}
            self.close()
            raise
        self._encoders: dict[str, Encoder] = {}
        self._pace: dict[str, float] = {}  # seconds in which an encoder reads a picture
        self._loading = threading.Lock()
        self.uploads = self._places(limits.uploads, "too many uploads at once")
        self.pending = self._places(limits.pending, "too many pictures at once")
        self.refits = self._places(limits.refits, "others are learning again")
        self.downloads = self._places(limits.downloads, "others are getting reports and models")

    def _places(self, total: int, reason: str) -> Places:
        return Places(total, self.limits.each(total), reason)

    def close(self) -> None:
        """Finish what was begun, then end the processes and remove all files."""
        self.jobs.close(self.limits.shutdown_seconds)
        for model in self.models.values():
            model.close()
        self.decoders.close()
        self.sessions.close()

    def encoder(self, name: str) -> Encoder:
        """Load an encoder by its name, once; a path is no name.

        Raises:
            UnknownNameError, EncoderError, MissingExtraError: it is not known, not here, or cannot be loaded.
        """
        place = self.brought.place(name) or name
        with self._loading:
            if name not in self._encoders:
                while len(self._encoders) >= _LOADED:
                    del self._encoders[next(iter(self._encoders))]
                self._encoders[name] = load_encoder(place)
            return self._encoders[name]

    def begin(self, encoder: str, client: str = "") -> Session:
        """Begin a session of a client with an encoder whose files are here.

        Raises:
            Gone: a folder, a file or an address is named.
            UnknownNameError, EncoderError: it is not known, or not here.
            Busy: there are too many sessions.
        """
        if _ELSEWHERE.search(encoder) and encoder not in self.brought.cards:
            raise Gone(
                f"{encoder[:100]!r} is no encoder's name: by the service only those known by name may be asked for, no "
                f"folder, file or address. Known: {', '.join(self.brought.encoders())}; who runs the server adds "
                "others with `kpl encoders pull`, `kpl encoders bundle` or `kpl serve --encoder`"
            )
        if self.brought.place(encoder) is None:
            raise EncoderError(f"encoder {encoder!r} is known but its files are not here: kpl encoders pull {encoder}")
        self.encoder(encoder)
        return self.sessions.create(encoder, client)

    def look_at(self, name: str, client: str = "") -> Session:
        """Begin a session of a client that looks at a finished run.

        Raises:
            UnknownNameError: the server was not started with it.
            Busy: there are too many sessions.
        """
        if name not in self.runs:
            raise UnknownNameError("run", name[:100], self.runs)
        run = self.runs[name]
        session = self.sessions.create(run.encoder_name, client)
        session.opened = OpenedRun(run) if isinstance(run, SingleLabelRun) else OpenedFindings(run)
        session.store, session.knowledge = run.path, run.knowledge
        return session

    def end(self, name: str) -> None:
        """End a session, its jobs first."""
        self.jobs.cancel_session(name)
        self.sessions.drop(name)

    def know(self, session: Session, given: Mapping[str, Any] | str, *, insist: bool = False) -> KnowledgeBase:
        """Give a session its knowledge: a pack's name, or a knowledge base as its file would say it.

        Args:
            session: gets it.
            given: the knowledge.
            insist: take it although the encoder was made for other pictures.

        Raises:
            Refused, UnknownNameError, TooLarge: it is none, or the encoder was not made for it.
        """
        session.changeable()
        coder = self.encoder(session.encoder)
        base = self.brought.pack(given) if isinstance(given, str) else read_base(given, self.limits)
        try:
            base.prompts()  # a list of names only is refused here
            check_tokens(base, coder.count_tokens, coder.context_length)
        except KnowledgeError as error:  # says what was sent, however much it looks like a path of this machine
            raise Refused(str(error)) from error
        if not insist and (why := misfit(base, coder)):
            raise Refused(f"{why}: choose an encoder made for it, say what kind of picture yours are, or insist")
        session.knowledge = base
        return base

    def upload(self, session: Session, files: Iterable[tuple[str, BinaryIO]]) -> tuple[list[int], list[SetAside]]:
        """Take pictures and archives of pictures into a session.

        Args:
            session: gets them.
            files: what the user calls each, and its bytes.

        Returns:
            The places of those that were taken, and what was left out with reasons. A file that cannot be taken, for
            whatever reason, stops no other; an archive is one, and what was read of it before it was refused stays.

        Raises:
            Busy: too many upload at once; nothing was taken.
            Gone: the session was ended meanwhile.
        """
        session.changeable()
        shrink_to = 3 * self.encoder(session.encoder).card.image_size

        def attempt(item: tuple[str, bytes | str]) -> tuple[str, Kept | str | None]:
            name, data = item
            try:
                if not isinstance(data, str) and session.hold(name, data, self.limits):
                    return name, None
                return name, data if isinstance(data, str) else self.decoders.keep(data, shrink_to)
            except (PictureError, Busy, TooLarge) as error:
                return name, str(error)

        taken, left = [], []
        with self.uploads.hold(session.client), session.at_work():
            work = ordered_map(attempt, self._opened(files), workers=self.limits.workers, look_ahead=2)
            with closing(work) as results:
                for name, found in results:
                    try:
                        if found is None:  # a medical file, which waits for the others of its study
                            continue
                        if isinstance(found, str):
                            left.append(session.leave_out(name, found))
                        else:
                            taken.append(session.add(name, found, self.limits))
                    except TooLarge as error:
                        left.append(session.leave_out(name, str(error)))
        return taken, left

    def _opened(self, files: Iterable[tuple[str, BinaryIO]]) -> Iterator[tuple[str, bytes | str]]:
        for name, file in files:
            head = file.read(4)
            file.seek(0)
            if is_zip(head):
                try:
                    yield from unpack(file, self.limits)
                except Refused as error:
                    yield name, str(error)
            else:
                yield name, file.read(self.limits.file_bytes + 1)

    def classify(self, session: Session, k: int | None) -> Job:
        """Start the job of a session: embed what is new, learn, predict.

        Raises:
            Refused: there are no pictures, or no knowledge.
            Busy: the queue is full.
        """
        session.changeable()
        if not session.units and not session.held:
            raise Refused("there are no pictures yet: add some first")
        if session.knowledge is None:
            raise Refused("there is no knowledge yet: choose a pack, or write classes and descriptions")
        return self.jobs.add(session.id, lambda job: self._work(job, session, k), session.client)

    def _work(self, job: Job, session: Session, k: int | None) -> None:
        base, coder = session.knowledge, self.encoder(session.encoder)
        if base is None:
            raise Refused("there is no knowledge yet")
        with session.at_work():
            put_together(job, session, self.decoders, self.limits, base.task, coder.card)
            if not session.units:
                raise Refused("none of the files can be read: see what is left out")
            job.tell("reading pictures", 0, len(session.pictures))
            features = self._features(job, session, coder)
            cache, rows = TextCache(), []
            prompts = base.prompts()
            for number, own in enumerate(prompts):
                job.tell("reading descriptions", number, len(prompts))
                rows += embed_texts([own], coder, cache=cache)
            job.tell("learning", 0, 1)
            outcome = learn(base, coder, features, rows, k, session.outcome)
            job.tell("learning", 1, 1)  # the last place to stop: from here on it is kept and shown
            store = session.folder
            if self.results is not None:
                store = self.results / _run_name(outcome, job.id)
                write_run(outcome, session, store)
            carry_corrections(session, outcome, store)
            session.replace(outcome)

    def _features(self, job: Job, session: Session, coder: Encoder) -> FeatureFolder:
        """Embed the pictures of a session; what came out before keeps its own features until it is replaced."""
        pictures = list(session.pictures)
        held = session.outcome.features if session.outcome else None
        if held and held.n == len(pictures):
            return held
        folder = session.fresh_features()
        if held and not folder.exists():
            shutil.copytree(held.path, folder)  # its whole shards are not read again
        features = embed_in_place(
            pictures,
            coder,
            folder,
            units=session.units,
            shard_size=_SHARD,
            workers=self.limits.workers,
            progress=lambda done, total: job.tell("reading pictures", done, total),
        )
        self.pictures += len(pictures) - (held.n if held else 0)
        return features

    def evidence(self, session: Session, place: int, *, refit: bool) -> Evidence:
        """Explain one picture; `refit` learns again without each of the loudest sentences.

        Raises:
            Gone: no such picture, or nothing classified.
            Busy: too many refits at once.
        """
        shown = session.finished()
        check_place(place, len(shown.ids))
        if isinstance(shown, OpenedRun):
            with self.refits.hold(session.client):
                return shown.evidence(place, refit=refit)
        outcome = session.learnt()
        row, said = outcome.standing[place : place + 1], outcome.predictions
        sides = None if outcome.pooling.plain else np.array([[said.winners[place], said.runners[place]]])
        if not refit:
            return explain(outcome.method, row, sides=sides)[0]
        with self.refits.hold(session.client):
            return explain(outcome.method, row, refit_on=outcome.images, weights=outcome.weights, sides=sides)[0]

    def cost_of_map(self, session: Session, place: int, how: How | None, share: float) -> tuple[MapPlan, float]:
        """Say how a map would be made, and about how many seconds the encoder needs for it.

        Raises:
            Gone, Refused, TooLarge: there is no such picture, or no map of it.
        """
        plan, encoder = self._plan_map(session, place, how, share)
        name = encoder.card.name
        if name not in self._pace:
            with self.refits.hold(session.client):
                self._pace[name] = seconds_a_view(plan, encoder)
        return plan, plan.views * self._pace[name]

    def draw_map(self, session: Session, place: int, class_index: int | None, how: How | None, share: float) -> Job:
        """Start to map where a picture shows a class; None for the class that it went to.

        Raises:
            Gone, Refused, TooLarge: there is no such picture or class, or no map of it.
            Busy: the queue is full.
        """
        outcome = session.learnt()
        plan, encoder = self._plan_map(session, place, how, share)
        chosen = class_index if class_index is not None else int(outcome.predictions.winners[place])
        if chosen >= len(outcome.keys):
            raise Gone(f"no such class: there are {len(outcome.keys)}, counted from 0")
        proxies = outcome.text_proxies

        def work(job: Job) -> None:
            def tell(done: int, total: int) -> None:
                job.tell("looking at parts of the picture", done, total)

            with session.at_work():
                tell(0, plan.views)
                session.drawn = DrawnMap(place, chosen, draw_map(plan, encoder, proxies, chosen, tell))

        return self.jobs.add(session.id, work, session.client)

    def _plan_map(self, session: Session, place: int, how: How | None, share: float) -> tuple[MapPlan, Encoder]:
        if session.opened is not None:
            raise Gone("a finished run keeps small pictures only: `kpl explain --map` draws where")
        outcome = session.learnt()
        check_place(place, len(outcome.ids))
        with session.at_work():
            return plan_map(session.shown(place), outcome.encoder, how, share, self.limits.views), outcome.encoder

    def one_shot(self, model: str, files: Sequence[tuple[str, BinaryIO]], client: str = "") -> list[Answer]:
        """Classify pictures, and units of medical files, at once by a fitted model; see `OneShot.classify`.

        Raises:
            UnknownNameError: no such model.
            Busy: too many at once.
        """
        if model not in self.models:
            raise UnknownNameError("model", model[:100], self.models)
        with self.pending.hold(client):
            answers = self.models[model].classify(files, self.sessions.folder)
        self.pictures += sum(answer.instances for answer in answers)
        return answers


def _run_name(outcome: Outcome, job: str) -> str:
    """Return a name for the folder of a finished run, by which a person finds it: the day, of what, how many."""
    task = re.sub(r"[^\w]+", "-", outcome.knowledge.task.name).strip("-").lower()[:60] or "run"
    today = datetime.now().astimezone().strftime("%Y-%m-%d")
    return f"{today}-{task}-{len(outcome.ids)}-pictures-{job[:6]}"
