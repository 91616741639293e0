"""Passwords: kept as argon2id hashes, and compared in the same time whether the account is there or not.

A hash takes 19 MiB and two passes, OWASP's setting for a small machine. Two at once are 38 MiB; the next few wait, and
more than that are turned away: a crowd at the door must take neither the memory nor the threads of who searches.

Two threads do nothing else. What a thread has freed the C library keeps for it: hashed by every thread that answers
requests, it would be sixteen times 19 MiB.
"""

import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
AT_ONCE = 2
IN_LINE = 6
# A hash of the same cost that nothing fits, for who asks in the name of nobody.
NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

T = TypeVar("T")

_places = threading.BoundedSemaphore(AT_ONCE + IN_LINE)
_hashers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")


class Crowded(Exception):
    """As many wait for a hash as may."""


def hashed(password: str) -> str:
    """Hash a new password.

    Raises:
        Crowded: too many wait already.
    """
    return _in_turn(lambda: HASHER.hash(_spelled(password)))


def fits(stored: str | None, password: str) -> bool:
    """Tell whether a password fits a stored hash; None, for an account that is not there, takes as long.

    Raises:
        Crowded: too many wait already.
    """
    return _in_turn(lambda: _verified(stored or NOBODY, password)) and stored is not None


def _verified(stored: str, password: str) -> bool:
    try:
        return HASHER.verify(stored, _spelled(password))
    except (VerificationError, InvalidHashError):
        return False


def _spelled(password: str) -> str:
    # The same letter typed on two keyboards may come as one code point or as two.
    return unicodedata.normalize("NFKC", password)


def _in_turn(act: Callable[[], T]) -> T:
    if not _places.acquire(blocking=False):
        raise Crowded
    try:
        return _hashers.submit(act).result()
    finally:
        _places.release()
