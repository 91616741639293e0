"""How the code that serves reads and writes."""

from schema import jobs, units
from sqlalchemy import insert, select, update

BY_CODE = select(units.c.id, units.c.code, units.c.title).order_by(units.c.code)
STORE = insert(units)
ADD = insert(jobs)
FINISH = update(jobs).values(state="done")
