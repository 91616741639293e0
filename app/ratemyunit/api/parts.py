"""What routes share: the pool, Redis and the settings of the application they are part of, and who may do what.

Each is an `async` dependency: a plain one would be run in a thread of its own for every request.
"""

import hmac
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from redis import Redis
from sqlalchemy import Engine
from starlette.exceptions import HTTPException

from ratemyunit.answers import Answers
from ratemyunit.settings import Settings

NO_NUL = r"^[^\x00]*$"


async def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


async def _reading(request: Request) -> Engine:
    reading: Engine = request.app.state.reading
    return reading


async def _answers(request: Request) -> Answers:
    answers: Answers = request.app.state.answers
    return answers


async def _redis(request: Request) -> Redis:
    redis: Redis = request.app.state.redis
    return redis


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


Pool = Annotated[Engine, Depends(_engine)]
Reading = Annotated[Engine, Depends(_reading)]
"""The same pool for who only reads: no transaction is begun or ended, which saves two of three trips."""
Kept = Annotated[Answers, Depends(_answers)]
Cache = Annotated[Redis, Depends(_redis)]
Asked = Annotated[Settings, Depends(_settings)]


# For the document alone: what it says is not believed, the header is compared whole.
_OPERATOR = HTTPBearer(scheme_name="operator", description="The admin token of this environment.", auto_error=False)


async def _authorization(request: Request, _: Annotated[object, Depends(_OPERATOR)]) -> str:
    return request.headers.get("Authorization", "")


Authorization = Annotated[str, Depends(_authorization)]


async def admin_only(settings: Asked, authorization: Authorization) -> None:
    token = settings.admin_token
    # An unset token admits nobody; the comparison takes the same time wherever the two differ.
    right = hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode())
    if not token or not right:
        raise HTTPException(401, "this needs the admin token", headers={"WWW-Authenticate": "Bearer"})


ADMIN_ONLY = Depends(admin_only)
"""For a route that only the bearer of the admin token may ask."""
