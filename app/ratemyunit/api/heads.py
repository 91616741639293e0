"""HEAD is answered wherever GET is, by the same route: its head, without its body (RFC 9110, 9.3.2)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Heads:
    """ASGI middleware, next to the routes. The server leaves the body away."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the routes see GET, and everybody else what was asked."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def answering(message: Message) -> None:
            scope["method"] = "HEAD"
            await send(message)

        # No copy: the route that is found is written here, for the figures.
        scope["method"] = "GET"
        try:
            await self._app(scope, receive, answering)
        finally:
            scope["method"] = "HEAD"
