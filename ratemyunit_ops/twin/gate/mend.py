"""How a mend is put on moto: a decorator that sets one method on one of its classes."""

from collections.abc import Callable
from typing import Any, TypeVar

from moto.core.exceptions import ServiceException

Method = TypeVar("Method", bound=Callable[..., Any])

ACCOUNT = "123456789012"


def mend(owner: type) -> Callable[[Method], Method]:
    """Put the decorated function on `owner` under its own name, in place of what was there."""

    def put(method: Method) -> Method:
        setattr(owner, method.__name__, method)
        return method

    return put


class Refusal(ServiceException):
    """An error of the service that was asked; moto takes a subclass of another module for the default service."""


def refuse(code: str, message: str) -> Refusal:
    """Make the error that moto's serialiser turns into the service's own shape."""
    return Refusal(code, message)
