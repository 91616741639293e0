"""What stands between the network and the routes: who asks, how often, how much, from which page, and what every
answer says to the browser. ASGI middlewares that know no route; what a route asks of them is in modules beside them.
"""

from fastapi import FastAPI

from ratemyunit.guard.bodies import Bodies
from ratemyunit.guard.headers import Headers
from ratemyunit.guard.origin import SameOrigin
from ratemyunit.guard.rates import Counters, Rates
from ratemyunit.settings import Settings


def install(app: FastAPI, settings: Settings) -> None:
    """Put every guard before the routes. Cheap refusals come first; what is added last is asked first."""
    app.state.counters = Counters(settings.redis_url, settings.rates)
    app.add_middleware(Bodies)
    app.add_middleware(Rates, counters=app.state.counters)
    app.add_middleware(SameOrigin)
    app.add_middleware(Headers)
