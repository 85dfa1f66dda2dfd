"""Windows of grey: which stored values become black and white; the usual ones of CT have names."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kpl.errors import InputError

CT_WINDOWS = {
    "abdomen": (50.0, 400.0),
    "bone": (400.0, 1800.0),
    "brain": (40.0, 80.0),
    "liver": (30.0, 150.0),
    "lung": (-600.0, 1500.0),
    "mediastinum": (50.0, 350.0),
    "soft-tissue": (40.0, 400.0),
    "spine": (50.0, 250.0),
    "stroke": (40.0, 40.0),
    "subdural": (75.0, 215.0),
    "temporal-bone": (600.0, 2800.0),
}
"""By name: (centre, width) in Hounsfield units."""


@dataclass(frozen=True, slots=True)
class Window:
    """Values from half a width below the centre to half a width above it become 0 to 255.

    Attributes:
        centre, width: of the values after slope and intercept, in Hounsfield units for CT
        function: `LINEAR` with the halves of DICOM PS3.3 C.11.2.1.2, `LINEAR_EXACT` or `SIGMOID`
        name: of one that has a name, and then it is for CT alone
    """

    centre: float
    width: float
    function: str = "LINEAR"
    name: str | None = None

    def __str__(self) -> str:
        return f"{self.name + ' ' if self.name else ''}{self.centre:g}/{self.width:g}"

    def grey(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bring values of any shape to 0..255 by PS3.3 C.11.2.1.2 and C.11.2.1.3, not rounded.

        Example:
            >>> Window(40, 400, "LINEAR_EXACT").grey(np.array([-160.0, 40.0, 240.0])).tolist()
            [0.0, 127.5, 255.0]
        """
        if self.function == "SIGMOID":
            return 255.0 / (1.0 + np.exp(np.clip(-4.0 * (values - self.centre) / self.width, -700.0, 700.0)))
        if self.function == "LINEAR_EXACT":
            return np.clip((values - self.centre) / self.width + 0.5, 0.0, 1.0) * 255.0
        if self.width == 1.0:
            return np.where(values > self.centre - 0.5, 255.0, 0.0)
        return np.clip((values - (self.centre - 0.5)) / (self.width - 1.0) + 0.5, 0.0, 1.0) * 255.0


def read_window(text: str) -> Window:
    """Read a window as it is typed: a name, or `centre/width`.

    Raises:
        InputError: it is neither, or narrower than 1.

    Example:
        >>> str(read_window("lung")), str(read_window("-50/350"))
        ('lung -600/1500', '-50/350')
    """
    if found := CT_WINDOWS.get(text.strip().lower().replace("_", "-").replace(" ", "-")):
        return Window(*found, name=text.strip().lower().replace("_", "-").replace(" ", "-"))
    numbers = re.fullmatch(r"\s*([-+]?\d{1,7}(?:\.\d{1,6})?)\s*/\s*(\d{1,7}(?:\.\d{1,6})?)\s*", text)
    if numbers and float(numbers[2]) >= 1:
        return Window(float(numbers[1]), float(numbers[2]))
    names = ", ".join(CT_WINDOWS)
    raise InputError(f"no such window: {text!r}. Give CENTRE/WIDTH with a width of at least 1, or one of: {names}")
