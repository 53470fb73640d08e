"""Modules that are imported when something of theirs is first used."""

import importlib
from typing import Any


class Late:
    """Stands for a module that takes long to import, in one that the command lines read before any work."""

    def __init__(self, name: str) -> None:
        """A stand-in for the module of that name."""
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, value)
        return value
