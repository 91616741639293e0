"""The door of the image: `ratemyunit api | worker | check | migrate [--contract | --pending | --current | --head]`.

Heavy imports wait until the role is known: the api never loads a browser, nor what migrates.
"""

import argparse
import gc
import os
import signal
import sys


def main(argv: list[str] | None = None) -> int:
    """Run one role until it is done or told to stop; answer the exit code."""
    # As process 1 of a container SIGTERM is ignored until someone handles it, so a stop during the
    # imports would hang until the kill.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    asked = _parser().parse_args(argv)
    if asked.role == "migrate":
        from ratemyunit import migrate

        return migrate.run(asked.what)
    if asked.role == "check":
        from ratemyunit import check

        return check.run()
    if asked.role == "worker":
        from ratemyunit import init

        return init.run(_worker) if os.getpid() == 1 else _worker()
    gc.disable()  # nothing that is imported is garbage, and looking for some takes a good part of the start
    from ratemyunit import serve

    gc.freeze()
    gc.enable()
    return serve.run()


def _worker() -> int:
    from ratemyunit import worker

    return worker.run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ratemyunit", description=__doc__)
    roles = parser.add_subparsers(dest="role", required=True)
    roles.add_parser("api", help="answer HTTP on HTTP_HOST:HTTP_PORT")
    roles.add_parser("worker", help="scrape catalogues from the queue")
    roles.add_parser("check", help="try every read and write on the database, and take it all back")
    migrate = roles.add_parser("migrate", help="run the pending expand revisions up to the head of this image's code")
    what = migrate.add_mutually_exclusive_group()
    for name, does in (
        ("contract", "run the contract revisions after the head too"),
        ("pending", "print what is pending; change nothing"),
        ("current", "print the database's schema head; change nothing"),
        ("head", "print the image's schema head; touch no database"),
    ):
        what.add_argument(f"--{name}", dest="what", action="store_const", const=name, help=does, default="expand")
    return parser


if __name__ == "__main__":
    sys.exit(main())
