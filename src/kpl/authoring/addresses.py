"""Where a language model's server is, and whether a key may be sent there."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import socket
from urllib.parse import urlsplit

from kpl.errors import LanguageModelError

KEY_VARIABLES = ("KPL_LLM_KEY", "OPENAI_API_KEY")


def checked_address(url: str) -> str:
    """Return an address without its last slash; refuse what is no plain address, and one that carries a secret.

    Raises:
        LanguageModelError: no address, or one with a key in it.
    """
    mend = "give an address such as http://localhost:11434/v1"
    try:
        parts = urlsplit(url)
        port_is_right = parts.port is None or parts.port > 0
    except ValueError:
        raise LanguageModelError(f"--llm: not an address: {mend}") from None
    if parts.username or parts.password or parts.query or parts.fragment:
        raise LanguageModelError(f"--llm: holds a user, a key or a question: {mend}, and the key in the environment")
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_right:
        raise LanguageModelError(f"--llm {url!r:.100}: not an address: {mend}, or the .gguf file of a model")
    return url.rstrip("/").removesuffix("/chat/completions")


def is_here(url: str) -> bool:
    """Tell whether an address is this machine itself, however it is spelled; no proxy stands in between.

    Example:
        >>> [is_here(f"http://{host}/v1") for host in ("LocalHost:8000", "127.0.0.2", "[::1]:1", "localhost.example")]
        [True, True, True, False]
    """
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost":
        return True
    with contextlib.suppress(OSError):  # 127.1 and 0x7f000001 are spellings that systems take
        host = socket.inet_ntoa(socket.inet_aton(host)) if re.fullmatch(r"[0-9a-fx.]+", host) else host
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def is_safe(url: str) -> bool:
    """Tell whether nobody on the way can read what is sent: https, whose proxies only pass on, or this machine."""
    return urlsplit(url).scheme == "https" or is_here(url)


def find_key(url: str) -> str | None:
    """Take the key for a server from the environment, if nobody on the way there can read it.

    Raises:
        LanguageModelError: a key that cannot be sent in a header; the message does not show it.
    """
    for name in KEY_VARIABLES if is_safe(url) else ():
        if key := os.environ.get(name, "").strip():
            if not key.isascii() or not key.isprintable() or " " in key:
                raise LanguageModelError(f"the key in {name} holds a space or another character that no key has")
            return key
    return None


def wants_version(url: str) -> str:
    """Suggest the /v1 that an address lacks; nothing where it names a version.

    Example:
        >>> wants_version("http://localhost:1234")
        ': the address mostly ends in /v1, so try http://localhost:1234/v1'
    """
    if re.search(r"/v\d", urlsplit(url).path):
        return ""
    return f": the address mostly ends in /v1, so try {url}/v1"
