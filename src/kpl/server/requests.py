"""How the body of a request is read: JSON that can be written again, and forms whose file names may be long."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

import python_multipart
from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser

_HEADER_BYTES = 1 << 20  # of one line in the head of a part: with the name of a file, which is cut when it is shown


class Route(APIRoute):
    """A route whose requests are read so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        inner = super().get_route_handler()

        async def answer(request: Request) -> Response:
            return await inner(_Request(request.scope, request.receive))

        return answer


class _Request(Request):
    async def json(self) -> Any:  # noqa: ANN401 - JSON
        """Return what was sent; text that no file and no answer could hold is refused here, for all routes."""
        said = await super().json()
        try:
            json.dumps(said, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = f"\\u{ord(error.object[error.start]):04x}"
            raise HTTPException(
                400, f"the JSON holds half a character, {half} without its other half: send the text as UTF-8"
            ) from error
        return said

    async def _get_form(
        self, *, max_files: float = 1000, max_fields: float = 1000, max_part_size: int = 1 << 20
    ) -> FormData:
        kind, _ = parse_options_header(self.headers.get("content-type"))
        if self._form is None and kind == b"multipart/form-data":
            try:
                async with aclosing(self.stream()) as stream:
                    parser = _Parts(
                        self.headers, stream, max_files=max_files, max_fields=max_fields, max_part_size=max_part_size
                    )
                    self._form = await parser.parse()
            except MultiPartException as error:
                raise HTTPException(400, error.message) from error
        return await super()._get_form(max_files=max_files, max_fields=max_fields, max_part_size=max_part_size)


class _Parts(MultiPartParser):
    """Starlette's, whose own way to begin leaves no choice of how long the head of a part may be."""

    async def parse(self) -> FormData:
        """Return the parts; the files among them hold their bytes, on disk where they are many."""
        self._charset = "utf-8"
        _, options = parse_options_header(self.headers["content-type"])
        if not options.get(b"boundary"):
            raise MultiPartException("Missing boundary in multipart.")
        names = ("part_begin", "part_data", "part_end", "header_field", "header_value", "header_end")
        calls: Any = {f"on_{name}": getattr(self, f"on_{name}") for name in (*names, "headers_finished", "end")}
        try:
            parser = python_multipart.MultipartParser(options[b"boundary"], calls, max_header_size=_HEADER_BYTES)
            async for chunk in self.stream:
                parser.write(chunk)
                await self._write()
            parser.finalize()
        except BaseException as error:
            for file in self._files_to_close_on_error:
                file.close()
            if isinstance(error, FormParserError):
                raise MultiPartException("Invalid multipart data.") from error
            raise
        return FormData(self.items)

    async def _write(self) -> None:
        for part, data in self._file_parts_to_write:
            if part.file is not None:
                await part.file.write(data)
        for part in self._file_parts_to_finish:
            if part.file is not None:
                await part.file.seek(0)
        self._file_parts_to_write.clear()
        self._file_parts_to_finish.clear()
