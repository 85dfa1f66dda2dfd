"""The small parts of a knowledge file: checked texts, where a sentence is from, what was rejected, what lint skips."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError


def problem(kind: str, message: str, *at: int | str) -> PydanticCustomError:
    """Build an error whose context says which item of a list is meant, so that the reader can find its line."""
    return PydanticCustomError(kind, "{problem}", {"problem": message, "at": at})


def _check_label(name: str) -> str:
    """Collapse the white space of a name and refuse one without a letter or digit."""
    name = " ".join(name.split())
    if not any(character.isalnum() for character in name):
        raise problem("empty_name", f"{name!r} has no letter or digit: write a name")
    return name


def _check_sentence(text: str) -> str:
    """Collapse the white space of a sentence and refuse one without a single letter."""
    text = " ".join(text.split())
    if not any(character.isalpha() for character in text):
        raise problem("empty_sentence", f"the sentence is empty ({text!r}): write what is seen, or remove the entry")
    return text


Label = Annotated[str, AfterValidator(_check_label)]
Sentence = Annotated[str, AfterValidator(_check_sentence)]


class Part(BaseModel):
    """Frozen, and strict about keys it does not know: a typo must not pass as silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Provenance(Part):
    """Where a sentence comes from. Everything is optional; what is unknown stays empty rather than invented."""

    author: str | None = Field(default=None, description="Who or what wrote the sentence: a person, a language model.")
    written: str | None = Field(default=None, description="When it was written, for example 2026-11-22.")
    source: str | None = Field(default=None, description="What was read for it, with its address.")
    reviewed_by: str | None = Field(default=None, description="Who checked it; null when nobody has.")
    reviewed_on: str | None = Field(default=None, description="When it was checked, for example 2026-11-22.")


class Code(Part):
    """What a class is called in a coding scheme, such as SNOMED CT: the answer is handed on as that code."""

    scheme: str = Field(
        description="The scheme as DICOM names it: SCT, RADLEX, DCM, LN, NCIt, ICD10.", pattern="^[A-Za-z0-9_]{1,16}$"
    )
    value: str = Field(description="The code in that scheme, for example 56717001.", pattern=r"^[A-Za-z0-9._:-]{1,64}$")
    meaning: Label = Field(description="What the code says in words.", max_length=64)


class Ignored(Part):
    """A rule of `kpl knowledge lint` that a person has looked at and sets aside here, and why."""

    rule: str = Field(description="The code of the rule, for example K301.", pattern="^K[0-9]{3}$")
    reason: Sentence = Field(description="Why it may be set aside here.")


class Rejected(Part):
    """A sentence that a reviewer removed or replaced: kept for the record, read by nothing."""

    text: Sentence = Field(description="The sentence as it was.")
    rejected_by: str | None = Field(default=None, description="Who removed it.")
    rejected_on: str | None = Field(default=None, description="When it was removed, for example 2026-11-22.")
    author: str | None = Field(default=None, description="Who or what had written it.")
    written: str | None = Field(default=None, description="When it had been written.")
    source: str | None = Field(default=None, description="What had been read for it.")
    against: Label | None = Field(
        default=None, description="The class from which it told its own class apart, if it was written so."
    )
