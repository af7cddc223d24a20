"""The demo's web page: a server in one place, and a client in another who asks for it."""

from __future__ import annotations

import http.client
import os
import socket
import socketserver
from http.server import BaseHTTPRequestHandler

from ..lab.lab import Lab
from ..lab.place import Place

PORT = 80
_PATIENCE = 3.0
"""Seconds until a client gives up."""


def serve_page(lab: Lab, place: Place) -> None:
    """Serve the page in `place`, over IPv4 and IPv6, until the lab ends."""
    listening, ready = os.pipe()
    server = place.fork_call(_serve, ready, place.name)
    os.close(ready)
    with os.fdopen(listening, "rb") as told:
        told.read()
    lab.at_close(server.end)


def fetch_page(client: Place, source: str, address: str, port: int) -> str:
    """What `client`, by its own address `source`, gets. Raises `OSError` where nobody answers."""
    return client.call(_fetch, source, address, port)


def page_for(caller: str, name: str) -> str:
    """The page that place `name` has for who comes from address `caller`."""
    return f"Hello {caller}, this is '{name}'."


def url(address: str, port: int) -> str:
    """The page's, as a browser wants it."""
    return f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"


class _Page(BaseHTTPRequestHandler):
    name = ""

    def do_GET(self) -> None:
        caller = self.client_address[0].removeprefix("::ffff:")
        page = page_for(caller, self.name).encode()
        self.send_response(http.HTTPStatus.OK)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Nothing: the terminal is the demo's."""


def _serve(ready: int, name: str) -> None:
    _Page.name = name
    listener = socket.create_server(("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True)
    # Not http.server.HTTPServer: that asks the name service for its own name.
    with socketserver.TCPServer(("::", PORT), _Page, bind_and_activate=False) as server:
        server.socket.close()
        server.socket = listener
        os.close(ready)
        server.serve_forever()


def _fetch(source: str, address: str, port: int) -> str:
    connection = http.client.HTTPConnection(
        address, port, timeout=_PATIENCE, source_address=(source, 0)
    )
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    except http.client.HTTPException as error:
        raise OSError(f"no web server: {error!r}") from None
    finally:
        connection.close()
