"""From questions to a finished file: everything is kept, nothing is asked twice, nobody's words are touched."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path

import pytest
from tests.authoring.chat_server import phrases, picture

from kpl.authoring import (
    Answer,
    Asker,
    KeptCalls,
    Plan,
    Request,
    begin_knowledge,
    copy_pack,
    read_passages,
    write_descriptions,
)
from kpl.authoring.asking import side_by_side
from kpl.errors import InputError, KnowledgeError, LanguageModelError, OutputError, UnknownNameError
from kpl.knowledge import lint_knowledge, load_knowledge
from kpl.knowledge.packs import read_pack

MINE = """\
# my classes
kpl_knowledge: 1
task: {name: cells, modality: blood smear}
classes:
  - key: neutrophil   # the commonest
    descriptions:
      - my own sentence   # do not touch

  # still to do
  - {key: basophil, aliases: [mast_like, "baso"]}
"""


class Model:
    """Answers as scripted, and remembers what it was asked."""

    def __init__(self, speak=phrases) -> None:
        self.speak = speak
        self.asked: list[Request] = []
        self.lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        with self.lock:
            self.asked.append(request)
        messages = [{"content": request.system}, {"content": request.prompt}]
        text = self.speak({"messages": messages, "seed": (request.seed or 0) + request.sample})
        return Answer(text=text, prompt_tokens=100, answer_tokens=10)

    def close(self) -> None:
        """Hold nothing."""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    return path


def write(path, model, plan=None, *, calls=None, **options):
    budget = {name: options.pop(name) for name in ("max_calls", "max_tokens") if name in options}
    asker = Asker(KeptCalls(calls or path.parent / "calls"), model, **budget)
    plan = plan or Plan("m", 20)
    return write_descriptions(path, plan, asker, **options), asker.spent


def lists(*sentences):
    return lambda _request: json.dumps({"descriptions": list(sentences)})


def asks(request):
    """What a question is after."""
    return request["messages"][1]["content"]


def test_every_class_gets_what_it_lacks(mine):
    told, spent = write(mine, Model(), at_once=3)
    kb = load_knowledge(mine)
    assert [len(entry.descriptions) for entry in kb.classes] == [20, 20]
    assert kb.classes[0].descriptions[0].text == "my own sentence"
    assert kb.classes[0].descriptions[0].provenance is None
    new = kb.classes[1].descriptions[0].provenance
    assert (new.author, new.source, len(new.written)) == ("m", "language model, unverified", 10)
    assert told.added == {"neutrophil": 19, "basophil": 20}
    assert told.short == {}
    assert spent.calls == len(list((mine.parent / "calls").iterdir())) > 0
    written = mine.read_text()
    assert [line for line in MINE.splitlines()[:-1] if line not in written.splitlines()] == []
    assert "language model, unverified, unverified" not in written


def test_a_replay_needs_no_model_and_gives_the_same_bytes(mine, tmp_path):
    write(mine, Model(), Plan("m", 20, ("paper", "contrast", "subtypes", "absent")), at_once=4)
    first = mine.read_bytes()
    mine.write_text(MINE)
    _, spent = write(mine, None, Plan("m", 20, ("paper", "contrast", "subtypes", "absent")))
    assert mine.read_bytes() == first
    assert spent.calls == 0
    other = tmp_path / "other" / "named.yaml"
    other.parent.mkdir()
    other.write_text(MINE)
    write(other, None, Plan("m", 20, ("paper", "contrast", "subtypes", "absent")), calls=tmp_path / "calls")
    assert other.read_bytes() == first
    other.write_text(MINE)
    with pytest.raises(LanguageModelError, match="a call is not kept"):
        write(other, None, Plan("m", 21), calls=tmp_path / "calls")
    assert other.read_text() == MINE


@pytest.mark.parametrize("budget", [{"max_calls": 2}, {"max_tokens": 200}])
def test_a_spent_budget_keeps_the_answers_and_leaves_the_file(mine, budget):
    model = Model()
    with pytest.raises(LanguageModelError, match=r"the budget is spent .*2 new calls \(200 \+ 20 tokens\)"):
        write(mine, model, **budget)
    assert mine.read_text() == MINE
    assert len(model.asked) == 2
    write(mine, model)
    assert len(model.asked) == len({request.address() for request in model.asked}), "nothing is asked twice"


def test_one_failure_stops_the_rest_and_loses_no_answer(mine):
    def speak(request):
        if "how 'basophil'" in asks(request):
            raise LanguageModelError("the server is gone")
        return phrases(request)

    with pytest.raises(LanguageModelError, match="the server is gone"):
        write(mine, Model(speak), at_once=4)
    assert mine.read_text() == MINE
    assert list((mine.parent / "calls").iterdir()) != []


def test_a_class_for_which_nothing_comes_does_not_hold_up_the_others(mine):
    mine.write_text(MINE.replace('aliases: [mast_like, "baso"]', "name: mast") + "  - {key: third}\n")

    def speak(request):
        return "I'm sorry, but I can't\nhelp." if "'third'" in asks(request).split(" looks")[0] else phrases(request)

    with pytest.raises(
        LanguageModelError, match=r"class 'third': no usable .* \(the answer begins \"I'm sorry, but I can't he"
    ):
        write(mine, Model(speak))
    assert mine.read_text().count("- text: a shape") == 39
    with pytest.raises(KnowledgeError, match="class 'third': no descriptions: write at least one"):
        load_knowledge(mine)
    write(mine, Model(), Plan("m", 20, seed=1))
    assert [len(entry.descriptions) for entry in load_knowledge(mine).classes] == [20, 20, 20]


def test_a_model_that_repeats_itself_leaves_a_class_short(mine):
    def speak(request):
        return lists("a shape, " + picture(9999 if "'basophil' looks" in asks(request) else 1))(request)

    mine.write_text(MINE.replace('aliases: [mast_like, "baso"]', "name: basophil"))
    told, spent = write(mine, Model(speak))
    assert set(told.short) == {"neutrophil", "basophil"}
    assert spent.calls < 20


def test_what_is_said_of_two_classes_is_left_out(mine):
    def speak(request):
        own = asks(request).partition("'")[2].partition("'")[0]
        only = {"neutrophil": "a round shape", "basophil": "an oval shape"}[own]
        same = ["The same, for both", f"a dark {own} in the picture", "My own sentence."]
        return json.dumps({"descriptions": [*same, only]})

    told, _ = write(mine, Model(speak), Plan("m", 3, ("paper",)))
    assert told.shared == 5
    kb = load_knowledge(mine)
    assert [[each.text for each in entry.descriptions] for entry in kb.classes] == [
        ["my own sentence", "a round shape"],
        ["an oval shape"],
    ]


def test_what_a_reviewer_rejected_does_not_come_back(mine):
    mine.write_text(
        MINE.replace("my own sentence   # do", "text: my own\n        # do").replace(
            "\n  # still", "\n    rejected:\n      - text: a shape, rejected\n\n  # still"
        )
    )
    model = Model(lists("a shape rejected", "another shape"))
    write(mine, model, Plan("m", 3, ("paper",)))
    texts = [each.text for each in load_knowledge(mine).classes[0].descriptions]
    assert "a shape rejected" not in texts
    assert any("a shape, rejected" in request.prompt for request in model.asked)


def test_what_the_critique_drops_is_asked_for_again_and_counted(mine):
    def speak(request):
        if "must be dropped" in asks(request):
            return json.dumps({"items": [{"number": 2, "text": "not visible"}]})
        return phrases(request)

    model = Model(speak)
    told, _ = write(mine, model, Plan("m", 20))
    assert (told.judged, told.short) == (4, {})
    judged = [request.prompt for request in model.asked if "must be dropped" in request.prompt]
    dropped = {line.partition(". ")[2] for prompt in judged for line in prompt.splitlines() if line.startswith("2. ")}
    held = {each.text for entry in load_knowledge(mine).classes for each in entry.descriptions}
    assert len(dropped) == 4
    assert not dropped & held


def test_a_critique_that_drops_everything_is_believed(mine):
    def speak(request):
        if "must be dropped" in asks(request) and "descriptions of 'basophil'" in asks(request):
            return json.dumps({"items": [{"number": n, "text": "cannot be seen"} for n in range(1, 26)]})
        return phrases(request)

    model = Model(speak)
    with pytest.raises(LanguageModelError, match=r"'basophil'.*left out: 75 dropped by the critique"):
        write(mine, model, Plan("m", 20))
    assert mine.read_text().splitlines()[-1] == MINE.splitlines()[-1]
    more = [request.prompt for request in model.asked if "how 'basophil'" in request.prompt][1:]
    assert len(more) == 4, "it is asked again while there are questions"
    assert "(not visible, wrong or general)" in more[0]


DIRTY = {
    "no pleural effusion": "K301",
    "patients often have fever and a cough": "K302",
    "a poor prognosis": "K302",
    "a nucleus split into three lobes joined by": "K104",
    "a pale rim.Granules in the middle": "K105",
    "ein dunkler Kern mit einer Einschnürung und einem Saum der Zelle": "K108",
    "darker than the granules of a basophil": "K305",
    "has a very distinctive appearance": "K304",
    "often known for its ancient history": "K303",
    "granules": "K106",
    "pink and very fine granules": "K202",
}
CLEAN = ["very fine pink granules", "a nucleus in three lobes", "a pale blue rim of cytoplasm", "a bean in profile"]


def test_what_lint_would_find_stays_outside_and_is_asked_for_again(mine):
    def speak(request):
        own = "how 'neutrophil'" in asks(request)
        if not own or "further" in asks(request):
            return phrases(request)
        return lists(*CLEAN[:1], *DIRTY, *CLEAN[1:])(request)

    model = Model(speak)
    told, _ = write(mine, model, Plan("m", 12, ("attributes",)))
    assert told.linted == Counter(DIRTY.values())
    assert "; left out: 11 by lint (K104 1, K105 1, K106 1, K108 1, K202 1, K301 1, K302 2, " in str(told)
    texts = [each.text for each in load_knowledge(mine).classes[0].descriptions]
    assert len(texts) == 12
    assert texts[1:5] == CLEAN
    (more,) = [request.prompt for request in model.asked if "further" in request.prompt]
    assert "write none like them:\n" in more
    assert "no pleural effusion (negation)" in more
    assert no_faults(mine)
    mine.write_text(MINE)
    first, model.asked = mine.parent / "first.yaml", []
    write(mine, None, Plan("m", 12, ("attributes",)))
    assert no_faults(mine)
    assert not first.exists()


def no_faults(path):
    """Whether lint finds nothing in the sentences of a file."""
    return not [code for code in lint_knowledge(path).counts() if code < "K4"]


@pytest.mark.parametrize("strategies", [("attributes", "critique"), ("paper", "contrast", "absent")])
def test_lint_finds_nothing_in_what_was_written(mine, strategies):
    write(mine, Model(), Plan("m", 50, strategies))
    assert [len(entry.descriptions) for entry in load_knowledge(mine).classes] == [50, 50]
    assert no_faults(mine)


def test_rules_that_the_file_sets_aside_do_not_hold(mine):
    aside = "ignore: [{rule: K301, reason: meant}]\nclasses:"
    mine.write_text(MINE.replace("classes:", aside).replace("kpl_knowledge: 1", "kpl_knowledge: 2"))
    told, _ = write(mine, Model(lambda request: speak_of(request, "no granules", "a poor prognosis")), Plan("m", 2))
    assert told.linted == Counter(K302=2)


def speak_of(request, *more):
    """A few sentences, and one that the other class does not share."""
    own = "basophil" if "'basophil' looks" in asks(request) or "'basophil' (" in asks(request) else "neutrophil"
    return json.dumps({"descriptions": [*more, {"basophil": "a round shape", "neutrophil": "an oval shape"}[own]]})


def test_a_contrast_may_deny_and_name_what_it_is_set_against(mine):
    def speak(request):
        if "easily confused" in asks(request) and "'neutrophil' and" in asks(request):
            return lists("a nucleus not covered by granules", "paler granules than those of a basophil")(request)
        return phrases(request)

    told, _ = write(mine, Model(speak), Plan("m", 3, ("contrast",)))
    assert told.linted == Counter()
    assert load_knowledge(mine).classes[0].descriptions[1].text == "a nucleus not covered by granules"


def test_sentences_on_absence_may_deny_but_not_be_cut_or_repeat(mine):
    tries = []

    def speak(request):
        if "is not there" not in asks(request):
            return phrases(request)
        tries.append(request)
        said = ["no granules at all", "a plain ground", "a plain ground", "poor prognosis", "cells that lie beside the"]
        if len(tries) > 1:
            said = ["one", "two", "a smooth ground", "a clear background", "three"]
        return json.dumps({"items": [{"number": n, "text": text} for n, text in enumerate(said, start=1)]})

    mine.write_text(MINE.replace("my own sentence   # do", "a dark lobe   # do"))
    told, _ = write(mine, Model(speak), Plan("m", 5, ("attributes", "absent")))
    absent = load_knowledge(mine).classes[0].absent
    assert absent[:4] == ("no granules at all", "a plain ground", "a smooth ground", "a clear background")
    assert absent[4].startswith("no ")
    assert told.negated >= 1
    assert tries[0]["seed"] != tries[1]["seed"]


def test_a_repeat_on_absence_is_taken_where_nothing_else_comes(mine):
    def speak(request):
        if "is not there" not in asks(request):
            return phrases(request)
        return json.dumps({"items": [{"number": n, "text": "a plain ground"} for n in range(1, 4)]})

    told, _ = write(mine, Model(speak), Plan("m", 3, ("attributes", "absent")))
    assert told.negated == 0
    assert load_knowledge(mine).classes[0].absent == ("a plain ground",) * 3


def test_a_cut_answer_loses_its_last_sentence_and_is_counted(mine):
    class Cut(Model):
        def answer(self, request):
            return super().answer(request).model_copy(update={"finished": "length"})

    def speak(request):
        name = "lobes" if "how 'neutrophil'" in asks(request) else "granules"
        return f"1. pale {name} on a dark ground\n2. a ring of {name} around it\n3. a few of the {name} in the mid"

    told, spent = write(mine, Cut(speak), Plan("m", 3, ("attributes",)))
    assert told.added == {"neutrophil": 2, "basophil": 2}
    assert spent.cut == spent.calls > 0
    assert " mid" not in mine.read_text()
    mine.write_text(MINE)
    _, again = write(mine, None, Plan("m", 3, ("attributes",)))
    assert again.cut == again.kept == spent.calls


def test_progress_is_told_from_the_start_and_answer_by_answer(mine):
    told = []
    write(mine, Model(), Plan("m", 40, ("attributes", "absent")), tell=lambda *step: told.append(step))
    writing = [step[1:] for step in told if step[0] == "writing"]
    assert writing[0] == (0, 79)
    assert writing[-1] == (79, 79)
    assert len(writing) > 5, "not class by class"
    assert [step[1:] for step in told if step[0] == "absent"][0::99] == [(0, 80)]
    assert writing == sorted(writing)


def test_the_budget_is_counted_when_every_call_has_ended(tmp_path):
    path = tmp_path / "many.yaml"
    begin_knowledge(path, [f"kind {n}" for n in range(8)])
    for most in (2, 5):
        model = Model()
        asker = Asker(KeptCalls(tmp_path / str(most)), model, max_calls=most)
        stopped = threading.Event()

        def speak(request, model=model, stopped=stopped, most=most):
            if len(model.asked) == most:  # the last one comes when the others have been refused
                assert stopped.wait(60)
            return phrases(request)

        model.speak = speak
        asker.stop = stopped.set
        with pytest.raises(LanguageModelError, match=rf"--max-calls {most}\): {most} new calls"):
            write_descriptions(path, Plan("m", 4), asker, at_once=4)
        assert len(list((tmp_path / str(most)).iterdir())) == most


def test_contrasts_declare_the_class_they_are_set_against(mine):
    write(mine, Model(), Plan("m", 12, ("attributes", "contrast")))
    kb = load_knowledge(mine)
    assert {each.against for each in kb.classes[0].descriptions} == {None, "basophil"}
    assert {each.against for each in kb.classes[1].descriptions} == {None, "neutrophil"}
    assert kb.kpl_knowledge == 2


def test_of_many_classes_the_model_names_the_rivals(tmp_path):
    path = tmp_path / "many.yaml"
    begin_knowledge(path, [f"kind {n}" for n in range(8)])
    model = Model()
    write(path, model, Plan("m", 4, ("contrast",)))
    against = {each.against for each in load_knowledge(path).classes[7].descriptions}
    assert against <= {"kind 0", "kind 1", "kind 2"}
    assert sum("look most like" in request.prompt for request in model.asked) == 8
    model = Model(lambda request: "none, really" if "look most like" in asks(request) else phrases(request))
    path.unlink()
    begin_knowledge(path, [f"kind {n}" for n in range(8)])
    write(path, model, Plan("m", 4, ("contrast",)), calls=tmp_path / "anew")
    assert len(load_knowledge(path).classes[7].descriptions) == 4


def test_pairs_on_absence(mine):
    told, _ = write(mine, Model(), Plan("m", 30, ("attributes", "absent")))
    for entry in load_knowledge(mine).classes:
        assert len(entry.absent) == len(entry.descriptions) == 30
    assert told.negated == 0
    assert str(told).startswith("59 new descriptions in 2 classes, 60 sentences on absence")
    with pytest.raises(KnowledgeError, match="class 'neutrophil': has an absent sentence for each description: add"):
        write(mine, Model(), Plan("m", 40))
    write(mine, Model(), Plan("m", 40, ("attributes", "absent")))
    assert [len(entry.absent) for entry in load_knowledge(mine).classes] == [40, 40]


def test_where_the_model_says_nothing_on_absence_the_description_is_negated(mine):
    def speak(request):
        return "1. clear ground" if "is not there" in asks(request) else phrases(request)

    told, _ = write(mine, Model(speak), Plan("m", 3, ("attributes", "absent")))
    assert told.negated == 4
    assert load_knowledge(mine).classes[0].absent[:2] == (
        "clear ground",
        "no " + load_knowledge(mine).classes[0].descriptions[1].text.removeprefix("a "),
    )


def test_absence_alone_is_added_to_what_there_is(mine):
    with pytest.raises(InputError, match="no descriptions yet: add a --strategy that writes"):
        write(begun(mine.parent / "bare.yaml"), Model(), Plan("m", 5, ("absent",)))
    write(mine, Model(), Plan("m", 5))
    before = load_knowledge(mine)
    write(mine, Model(), Plan("m", 50, ("absent",)))
    after = load_knowledge(mine)
    assert [entry.descriptions for entry in after.classes] == [entry.descriptions for entry in before.classes]
    assert [len(entry.absent) for entry in after.classes] == [5, 5]


def begun(path: Path) -> Path:
    begin_knowledge(path, ["a", "b"])
    return path


def test_each_sentence_cites_its_passage(mine, tmp_path):
    page = tmp_path / "atlas.md"
    page.write_text(
        "\n\n".join(f"Neutrophil and basophil {n}: nodular shapes. " + "More text. " * 60 for n in range(12))
    )
    told, _ = write(mine, Model(), Plan("m", 10, ("paper",)), passages=read_passages([page]))
    sources = {each.provenance.source for each in load_knowledge(mine).classes[1].descriptions}
    assert len(sources) > 3
    assert all(
        source.startswith("atlas.md, line") and source.endswith("as cited by the language model") for source in sources
    )
    assert told.uncited == 0
    mine.write_text(MINE)

    def made_up(request):
        own = {"neutrophil": "lobes", "basophil": "granules"}[asks(request).split("'")[1]]
        said = [
            "a shape without a passage",
            {"text": "yellow feathers", "passage": 1},
            {"text": "a nodule", "passage": 99},
        ]
        return json.dumps({"descriptions": [*said, {"text": f"nodular {own}", "passage": 2}]})

    told, _ = write(mine, Model(made_up), Plan("x", 2, ("paper",)), passages=read_passages([page]))
    assert told.uncited >= 3
    texts = [each.text for each in load_knowledge(mine).classes[0].descriptions]
    assert texts == ["my own sentence", "nodular lobes"]


def test_samples_ask_again_with_other_seeds(mine):
    model = Model()
    write(mine, model, Plan("m", 40, ("paper",), samples=3))
    first = [request for request in model.asked if "visual features of 'neutrophil'" in request.prompt]
    assert sorted(request.sample for request in first) == [0, 1, 2]


def test_a_full_file_is_not_touched(mine):
    write(mine, Model())
    before = mine.stat()
    told, spent = write(mine, None)
    assert (told.added, spent.calls + spent.kept) == ({}, 0)
    assert mine.stat().st_mtime_ns == before.st_mtime_ns


def test_damaged_and_foreign_calls_are_named(mine):
    write(mine, Model())
    first, second, *_ = sorted((mine.parent / "calls").iterdir())
    swapped = second.read_bytes()
    for content, says in ((b"{", "is damaged"), (swapped, "is of another request")):
        first.write_bytes(content)
        mine.write_text(MINE)
        with pytest.raises(LanguageModelError, match=f"{first.name}: this kept call {says}"):
            write(mine, None)


def test_a_folder_that_cannot_be_made_is_named(mine):
    (mine.parent / "calls").write_text("a file")
    with pytest.raises((OutputError, LanguageModelError), match=r"cannot be made|is damaged"):
        write(mine, Model())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"per_class": 0}, "--per-class 0: must be 1 to 1000"),
        ({"samples": 101}, "--samples 101"),
        ({"temperature": 3.0}, "--temperature 3: must be 0 to 2"),
        ({"model": " "}, "--model: is empty"),
    ],
)
def test_numbers_out_of_range(options, says):
    with pytest.raises(InputError, match=says):
        Plan(**{"model": "m", **options})
    with pytest.raises(UnknownNameError, match="unknown strategy 'contrasts': did you mean 'contrast'"):
        Plan("m", strategies=("contrasts",))


def test_contrast_has_a_limit_that_is_known_before_the_first_call(tmp_path):
    path = tmp_path / "many.yaml"
    begin_knowledge(path, [f"kind {n}" for n in range(1001)])
    with pytest.raises(InputError, match="1001 classes: the strategy 'contrast' compares at most 1000"):
        write(path, Model(), Plan("m", 4, ("contrast",)))
    with pytest.raises(LanguageModelError, match="the budget is spent"):
        write(path, Model(), Plan("m", 4), max_calls=3)


def test_other_scripts_are_written_as_they_are(tmp_path):
    path = tmp_path / "细胞.yaml"
    begin_knowledge(path, ["中性粒细胞", "לימפוציט"], modality="血涂片")
    write(
        path,
        Model(
            lambda request: json.dumps(
                {"descriptions": ["分叶的深色细胞核" + asks(request).split("'")[1], "גרעין עגול"]}
            )
        ),
        Plan("m", 1, ("paper",)),
    )
    assert "分叶的深色细胞核" in path.read_text()
    assert load_knowledge(path).task.modality == "血涂片"


def test_a_beginning_is_a_list_of_names_with_remarks(tmp_path):
    path = tmp_path / "chest_tb.yaml"
    kb = begin_knowledge(path, ["tuberculosis", " normal  lung ", "yes", "12: x"], modality="chest X-ray")
    assert kb == load_knowledge(path)
    assert kb.names_only
    assert [entry.key for entry in kb.classes] == ["tuberculosis", "normal lung", "yes", "12: x"]
    assert kb.task.name == "chest tb"
    assert "kpl knowledge write chest_tb.yaml --llm" in path.read_text()
    with pytest.raises(OutputError, match="exists already"):
        begin_knowledge(path, ["a", "b"])
    begin_knowledge(path, ["a", "b"], overwrite=True)
    for classes, says in (
        (["a"], "at least two"),
        ([], "no classes"),
        (["a", "A"], "duplicate class"),
        (["a", "-"], "no letter"),
    ):
        with pytest.raises(KnowledgeError, match=says):
            begin_knowledge(tmp_path / "x.yaml", classes)
    with pytest.raises(KnowledgeError, match=r"no .description."):
        begin_knowledge(tmp_path / "x.yaml", ["a", "b"], template="a photo")
    with pytest.raises(OutputError, match=r"end it in .yaml, not '.json'"):
        begin_knowledge(tmp_path / "x.json", ["a", "b"])
    assert not (tmp_path / "x.yaml").exists()


def test_a_pack_is_copied_once(tmp_path):
    path = tmp_path / "food.yaml"
    copy_pack("food-101", path)
    assert path.read_bytes() == read_pack("food-101")
    path.write_text(path.read_text() + "# mine\n")
    copy_pack("food-101", path)
    assert path.read_text().endswith("# mine\n")
    with pytest.raises(OutputError, match="is no copy of the pack 'cub-200': give another file with --out"):
        copy_pack("cub-200", path)


def test_side_by_side_keeps_the_order():
    options = {"at_once": 4, "give_up": lambda: None}
    assert side_by_side(lambda n: n * n, range(20), **options) == [n * n for n in range(20)]
    assert side_by_side(lambda n: n, [], **options) == []


def refusing(request):
    """Decline whatever is asked about the second class."""
    return "I'm sorry, but I cannot help." if "how 'basophil'" in asks(request) else phrases(request)


def test_only_usable_answers_are_kept_and_a_replay_knows_as_much(mine):
    with pytest.raises(
        LanguageModelError, match=r"class 'basophil': .*begins \"I'm sorry.* help.\": the model declines"
    ):
        write(mine, Model(refusing))
    first = mine.read_bytes()
    kept = list((mine.parent / "calls").glob("*.json"))
    assert kept
    assert not [path for path in (mine.parent / "calls").iterdir() if "sorry" in path.read_text()]
    mine.write_text(MINE)
    with pytest.raises(LanguageModelError, match=r"class 'basophil': no usable description came \(the model declines"):
        write(mine, None)
    assert mine.read_bytes() == first, "a replay writes the same file"
    mine.write_text(MINE)
    _, spent = write(mine, Model())
    assert spent.kept == len(kept), "what was declined is asked again"
    assert len(load_knowledge(mine).classes[1].descriptions) == 20
    assert not [path for path in (mine.parent / "calls").glob("*.json") if path.with_suffix(".unusable").exists()]


@pytest.mark.parametrize(
    "said",
    ["", "<think>hm", "<musing>\n" + json.dumps({"descriptions": ["a round ring of dots"]}), "I cannot assist."],
)
def test_what_cannot_be_used_is_counted_with_its_reason(mine, said):
    with pytest.raises(LanguageModelError, match="no usable description came"):
        write(mine, Model(lambda _request: said), Plan("m", 20, ("attributes",)))
    assert not list((mine.parent / "calls").glob("*.json"))
    assert mine.read_text() == MINE


def test_further_parameters_are_passed_on_and_ask_anew(mine):
    thinking_off = {"chat_template_kwargs": {"enable_thinking": False}}
    with_, without = Model(), Model()
    write(mine, without)
    mine.write_text(MINE)
    write(mine, with_, Plan("m", 20, extra=thinking_off))
    assert len(with_.asked) == len(without.asked)
    assert {json.dumps(request.extra) for request in with_.asked} == {json.dumps(thinking_off)}
    assert not {r.address() for r in with_.asked} & {r.address() for r in without.asked}
    mine.write_text(MINE)
    _, spent = write(mine, None, Plan("m", 20, extra=thinking_off))
    assert spent.calls == 0
    for name in ("messages", "model", "stream"):
        with pytest.raises(InputError, match=f"--extra: {name} is set by the question itself"):
            Plan("m", extra={name: 1})
