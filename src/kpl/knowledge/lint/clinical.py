"""What a person feels, what a hand or a test finds, the course, the treatment, and the causes of an illness.

Apart from the other words, because it takes long to compile and only lint's own rules on sentences ask for it.
"""

from __future__ import annotations

import re

from kpl.knowledge.lint.words import LISTS, any_of

CLINICAL = re.compile(rf"\b(?:{'|'.join(map(any_of, LISTS['clinical'].values()))})\b")
