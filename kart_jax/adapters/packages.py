"""Other people's packages that a face needs: loaded on demand, one sentence if they are missing.

None of them is a dependency of kart_jax: some hold JAX or Gymnasium back at older versions.
"""

import importlib
from types import ModuleType

from kart_jax.errors import InputError


def load(module: str, user: str) -> ModuleType:
    """Load a module of an outside package.

    Args:
        module: dotted name; its first part is the name of the package on PyPI as well.
        user: who needs it, for the sentence.

    Raises:
        InputError: the package is not installed.
    """
    package = module.split(".", maxsplit=1)[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        raise InputError(
            f"{user} needs the package {package}, and {missing.name} is not installed; run `pip "
            f"install {package}`"
        ) from missing
