"""The prompt that a description is put into."""

from __future__ import annotations

import string

from kpl.errors import UnknownNameError
from kpl.knowledge.records import problem

DEFAULT_TEMPLATE = "a photo of a {class}, which has {description}"
"""The prompt of the KPL paper."""

_PLACEHOLDERS = ("class", "description")


def check_template(template: str) -> str:
    """Refuse a template that cannot be filled, or that would leave the description out."""
    template = " ".join(template.split())
    try:
        fields = [part[1:] for part in string.Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        message = f"{template!r} has a lone brace ({error}): write {{class}} and {{description}}"
        raise problem("template", message) from error
    for name, spec, conversion in fields:
        if name not in _PLACEHOLDERS or spec or conversion:
            unknown = f"{name or ''}{'!' + conversion if conversion else ''}{':' + spec if spec else ''}"
            hint = UnknownNameError("placeholder", f"{{{unknown}}}", [f"{{{known}}}" for known in _PLACEHOLDERS])
            raise problem("template", str(hint))
    if not any(name == "description" for name, _, _ in fields):
        mend = f"add it, for example {DEFAULT_TEMPLATE!r}"
        raise problem("template", f"{template!r} has no {{description}}, so no sentence would be read: {mend}")
    return template
