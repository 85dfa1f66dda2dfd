"""Authoring: a language model is asked how the classes look, and only clean, attributed sentences enter the file."""

from kpl.authoring.answers import clean_sentence, read_answer
from kpl.authoring.asking import Asker, Spent
from kpl.authoring.beginning import begin_knowledge, copy_pack
from kpl.authoring.calls import Answer, Call, KeptCalls, LanguageModel, Request
from kpl.authoring.drafting import Written, write_descriptions
from kpl.authoring.interview import Plan
from kpl.authoring.local import LlamaFile
from kpl.authoring.passages import Passage, read_passages
from kpl.authoring.prompts import DEFAULT_STRATEGIES, STRATEGIES
from kpl.authoring.server import ChatServer

__all__ = [
    "DEFAULT_STRATEGIES",
    "STRATEGIES",
    "Answer",
    "Asker",
    "Call",
    "ChatServer",
    "KeptCalls",
    "LanguageModel",
    "LlamaFile",
    "Passage",
    "Plan",
    "Request",
    "Spent",
    "Written",
    "begin_knowledge",
    "clean_sentence",
    "copy_pack",
    "read_answer",
    "read_passages",
    "write_descriptions",
]
