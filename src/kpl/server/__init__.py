"""The page and the service: the same job as the command's, for a browser and for programs."""

from kpl.server.limits import Limits
from kpl.server.running import Options, serve

__all__ = ["Limits", "Options", "serve"]
