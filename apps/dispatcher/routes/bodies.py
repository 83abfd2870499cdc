"""JSON bodies as models; how long they may be is seen to before all routes (`guards.py`)."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from apps.core.errors import ProtocolError

Model = TypeVar("Model", bound=BaseModel)


def read_as(model: type[Model], body: bytes, *, hint: str = "") -> Model:
    """Return a JSON body as a model.

    Raises:
        ProtocolError: It is not what it must be; code ``bad_message``.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        raise ProtocolError(
            f"The request is not right: {where}: {first['msg']}.", hint=hint, code="bad_message"
        ) from None
