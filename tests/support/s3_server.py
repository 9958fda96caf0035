"""An S3 server on this machine: ``python -m support.s3_server PORT``.

moto's, which answers one request after the other here: it looks whether an object is there and then writes it, and S3
does both at once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from threading import Lock
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

LOCK = Lock()
SERVER = DomainDispatcherApplication(create_backend_app)


def one_by_one(environment: Any, start_response: Any) -> Iterable[bytes]:
    with LOCK:
        return list(SERVER(environment, start_response))


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), one_by_one, threaded=True)
