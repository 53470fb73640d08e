"""Web pages of one file, from the templates that lie beside this one."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **values: Any) -> bytes:
    """The page that a template makes of its values; what isn't markup already is escaped.

    Args:
        template: its file's name.
        values: whatever it names.

    Returns:
        UTF-8; equal values give equal bytes.

    Raises:
        jinja2.UndefinedError: the template names a value that isn't given.
    """
    environment = Environment(
        loader=PackageLoader("infogan_jax", "evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values).encode()
