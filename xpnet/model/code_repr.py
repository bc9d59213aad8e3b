"""The ``repr`` of a model: code that makes the same model, untrained."""

from collections.abc import Sequence
from typing import Any

from ..backends import Backend
from ..common.readable import Readable, arguments_of, call_text, text_of
from ..layers import Layer


class CodeRepr(Readable):
    """Base of models: ``repr`` is the constructor's call, and a call of ``add`` for each layer."""

    backend: Backend
    layers: list[Layer]
    _follows_data: bool

    def __repr__(self) -> str:
        call, layers = super().__repr__(), vars(self).get("layers", ())
        if not layers:
            return call
        lines = [call, *(f".add({text})" for text in layer_texts(layers))]
        return "\n".join(["(", *(f"    {line}" for line in lines), ")"])

    def _argument(self, name: str) -> Any:
        if name in ("device", "dtype", "backend") and not isinstance(vars(self).get(name), str):
            place: dict[str, Any] = {"device": None, "dtype": self.backend.dtype, "backend": None}
            if not self._follows_data:
                place["device"] = self.backend.device_name
                is_default = self.backend.name in ("numpy", "cupy")
                place["backend"] = None if is_default else self.backend.name
            return place[name]
        return super()._argument(name)


def layer_texts(layers: Sequence[Layer]) -> list[str]:
    """Return each layer as code; only the first needs an input shape."""
    texts = [text_of(layers[0])]
    for layer in layers[1:]:
        if type(layer).__repr__ is not Readable.__repr__:
            texts.append(text_of(layer))
            continue
        arguments = [each for each in arguments_of(layer) if each[0] != "input_shape"]
        texts.append(call_text(type(layer).__name__, arguments))
    return texts
