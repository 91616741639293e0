"""Accounts, as admins and operators see them."""

import logging
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from ratemyunit import accounts
from ratemyunit.api.access import BY_TOKEN, AdminOrOperator
from ratemyunit.api.parts import NO_NUL, Pool, Reading
from ratemyunit.entrance import Visitor
from ratemyunit.problems import documented

router = APIRouter(prefix="/api/admin/users", dependencies=[BY_TOKEN])

log = logging.getLogger("ratemyunit.api")


class User(BaseModel):
    """An account. `locked_by` is null where nobody has, or where an operator has."""

    id: UUID
    email: str
    role: accounts.Role
    created_at: datetime
    locked_at: datetime | None
    locked_by: UUID | None


class Users(BaseModel):
    """A page of accounts; `next` is the `after` of the page behind it, null on the last."""

    users: list[User]
    next: UUID | None


class Roled(BaseModel):
    """The role that an account is to have."""

    role: accounts.Role


@router.get("", responses=documented(401, 403))
def users(
    by: AdminOrOperator,
    reading: Reading,
    search: Annotated[str, Query(max_length=254, pattern=NO_NUL)] = "",
    after: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Users:
    """List accounts; `search` is a part of an address."""
    with reading.connect() as connection:
        found = accounts.listed(connection, search, most=limit + 1, after=after)
    page = [User(**user) for user in found[:limit]]
    return Users(users=page, next=page[-1].id if len(found) > limit else None)


@router.post("/{user_id}/role", status_code=204, responses=documented(401, 404, 409))
def role(user_id: UUID, wish: Roled, by: AdminOrOperator, pool: Pool) -> None:
    """Make an account an admin's, or a student's again."""
    _of_another(user_id, by)
    with pool.begin() as connection:
        _there(accounts.set_role(connection, user_id, wish.role))
    _note(f"role is {wish.role} now", user_id, by)


@router.post("/{user_id}/lock", status_code=204, responses=documented(401, 404, 409))
def lock(user_id: UUID, by: AdminOrOperator, pool: Pool) -> None:
    """Lock an account out, and end its sessions."""
    _of_another(user_id, by)
    with pool.begin() as connection:
        _there(accounts.lock(connection, user_id, by.id if by else None))
    _note("account locked", user_id, by)


@router.post("/{user_id}/unlock", status_code=204, responses=documented(401, 404))
def unlock(user_id: UUID, by: AdminOrOperator, pool: Pool) -> None:
    """Let an account in again."""
    with pool.begin() as connection:
        _there(accounts.unlock(connection, user_id))
    _note("account unlocked", user_id, by)


def _of_another(user: UUID, by: Visitor | None) -> None:
    # The last admin could shut everybody out by a slip.
    if by and by.id == user:
        raise HTTPException(409, "this is your own account; another admin can do it")


def _there(found: bool) -> None:
    if not found:
        raise HTTPException(404, "there is no such account")


def _note(what: str, user: UUID, by: Visitor | None) -> None:
    log.info(what, extra={"fields": {"event": "account", "account": str(user), "by": str(by.id) if by else "operator"}})
