"""A stand-in for Ray of two nodes, whose workers die as they are told; `.ci/cluster.py` has Ray itself."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from kpl import cluster


class DeadError(Exception):
    """As Ray's RayActorError."""


class LostError(Exception):
    """As Ray's ObjectLostError."""


class FailedError(Exception):
    """As Ray's RayTaskError."""

    cause: Exception | None = None


class Ray:
    """What is asked of a worker is done when somebody waits for it.

    Args:
        deadly: given a call's name and arguments, says for what it ends its worker; nothing if it does not.
        times: how often, of each.
        nodes: that are there.
    """

    exceptions = SimpleNamespace(RayActorError=DeadError, ObjectLostError=LostError, RayTaskError=FailedError)

    def __init__(
        self,
        deadly: Callable[[str, Any], list[str]] = lambda *_: [],
        times: dict[str, int] | None = None,
        nodes: int = 2,
    ) -> None:
        self.deadly, self.times = deadly, Counter(times or {})
        self.started, self.calls = 0, Counter[str]()
        self.closed = False
        self.head = "127.0.0.1:6379"
        self._nodes = [{"NodeID": f"node {n}", "Alive": True, "Resources": {"CPU": 1.0}} for n in range(nodes)]

    def instead(self, monkeypatch: pytest.MonkeyPatch) -> Ray:
        """Take the place of Ray."""

        class There:
            def __init__(self, **_: Any) -> None: ...

        strategies = SimpleNamespace(NodeAffinitySchedulingStrategy=There)
        monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(get=lambda held: held))
        monkeypatch.setitem(sys.modules, "ray.util.scheduling_strategies", strategies)
        monkeypatch.setattr(cluster, "_connect", lambda *_: self)
        monkeypatch.setattr(cluster, "_knock", lambda _: None)
        return self

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(gcs_address=self.head)

    def nodes(self) -> list[dict[str, Any]]:
        others = [{"NodeID": "gone", "Alive": False}, {"NodeID": "head", "Alive": True, "Resources": {}}]
        return [*self._nodes, *others]

    def remote(self, kind: Any) -> Any:
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda task: self._actor(kind(task))))

    def _actor(self, worker: Any) -> Any:
        self.started += 1
        return _Actor(self, worker)

    def put(self, held: Any) -> Any:
        return held

    def wait(self, asked: list[Any], **_: float) -> tuple[list[Any], list[Any]]:
        return asked[-1:], asked[:-1]

    def get(self, asked: Any, **_: float) -> Any:
        try:
            return asked.result()
        except (ValueError, MemoryError) as error:
            failed = FailedError("a page of traceback")
            failed.cause = error
            raise failed from error

    def kill(self, _: Any) -> None: ...

    def shutdown(self) -> None:
        self.closed = True


class _Actor:
    def __init__(self, ray: Ray, worker: Any) -> None:
        self._ray, self._worker = ray, worker

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *given: _Asked(self._ray, self._worker, name, given))


class _Asked:
    def __init__(self, ray: Ray, worker: Any, name: str, given: tuple[Any, ...]) -> None:
        self.ray, self.worker, self.name, self.given = ray, worker, name, given

    def result(self) -> Any:
        for cause in self.ray.deadly(self.name, self.given):
            if self.ray.times[cause] > 0:
                self.ray.times[cause] -= 1
                raise DeadError
        self.ray.calls[self.name] += 1
        return getattr(self.worker, self.name)(*self.given)
