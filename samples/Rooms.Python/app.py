"""Rooms in Python, with nothing but its standard library: a visit counter and a member list for each room. docs/any-language.md is its tutorial.

The runtime starts this program, sends it the requests of the rooms that this shard owns, changing ones one at a time for each room, and keeps what it
changes by the state calls below together with its answer. So it has no database, no lock, and no code for moves and crashes.
"""
import json
import os
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

SHARD, VERSION = os.environ["SHARDCLOUD_SHARD"], os.environ["SHARDCLOUD_VERSION"]
STATE_URL, STATE_TOKEN = os.environ["SHARDCLOUD_STATE_URL"], os.environ["SHARDCLOUD_STATE_TOKEN"]


def increment(state, room):
    visits = state("/counter/visits/add", {"amount": 1})
    return 200, {"room": room, "value": visits["value"], "shard": SHARD, "version": VERSION}


def read(state, room):
    fields = state("")["fields"]
    visits, members = fields.get("visits", {}), fields.get("members", {})
    return 200, {"room": room, "value": visits.get("value", 0), "members": members.get("items", []), "shard": SHARD, "version": VERSION}


def add_member(state, room, name):
    state("/set/members/add", {"item": name})
    return 204, None


def remove_member(state, room, name):
    return 204 if state("/set/members/remove", {"item": name})["changed"] else 404, None


ROUTES = [
    ("POST", r"/rooms/([^/]+)/increment", increment),
    ("GET", r"/rooms/([^/]+)", read),
    ("PUT", r"/rooms/([^/]+)/members/([^/]+)", add_member),
    ("DELETE", r"/rooms/([^/]+)/members/([^/]+)", remove_member),
]


class Rooms(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # Keeps connections.
    disable_nagle_algorithm = True  # Head and body leave in two writes: the second would wait for the first's acknowledgement.

    def state(self, path, change=None):
        """The state of the room that the request names: state("/counter/visits") reads, state("/counter/visits/add", {"amount": 1}) changes."""
        request = Request(f"{STATE_URL}/{self.headers['X-Shard-State']}{path}", json.dumps(change).encode() if change else None,
                          {"Authorization": f"Bearer {STATE_TOKEN}", "Content-Type": "application/json"})
        with urlopen(request) as answer:  # Raises on errors: the request is then answered 500, and nothing is changed.
            return json.load(answer)

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, body = 404, None
        try:
            for method, pattern, handle in ROUTES:
                match = self.command == method and re.fullmatch(pattern, urlsplit(self.path).path)
                if match:
                    status, body = handle(self.state, *map(unquote, match.groups()))
        except OSError as error:
            self.log_error("%s", error)
            status = 500
        content = json.dumps(body).encode() if body else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_request(self, code="-", size="-"):
        pass  # A line for each request would drown what matters.


class Server(ThreadingHTTPServer):
    request_queue_size = 128  # Of connections that wait to be accepted; the default, 5, makes a burst wait for a second.


Server(("127.0.0.1", int(os.environ["PORT"])), Rooms).serve_forever()
