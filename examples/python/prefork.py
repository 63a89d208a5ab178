#!/usr/bin/env python3
"""A prefork server as gunicorn is one: the parent listens and forks, the workers serve, and all of
them share one cache.  The example is its own client: it asks for pages, kills a worker in the
middle, and goes on asking.

What to take from it: decorate at import, before the fork, and nothing else.  A worker that is killed
is replaced by the parent; the cache needs no thought.
"""

import http.client
import http.server
import os
import signal
import socket
import sys
import threading
import time

import latchkey

WORKERS = 4
PAGES = 20
ASKED = 400

hits = latchkey.Cache()  # no name: shared with the children


@latchkey.cache(backend="shared", max_size=1000, ttl=60)
def render(page: str) -> bytes:
    """The expensive part; once for all workers."""
    hits.incr("rendered")
    time.sleep(0.005)
    return f"<h1>{page}</h1>".encode()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves pages."""

    def do_GET(self):  # pylint: disable=invalid-name
        body = render(self.path)
        hits.incr("served")
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


def serve(listener):
    """A worker: takes connections from the socket that all workers share."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.serve_forever()


class Parent:
    """Starts workers and replaces the dead."""

    def __init__(self, listener):
        self.listener = listener
        self.pids = set()
        self.replaced = 0

    def start(self):
        pid = os.fork()
        if pid == 0:
            try:
                serve(self.listener)
            finally:
                os._exit(1)
        self.pids.add(pid)

    def replace_dead(self):
        for pid in list(self.pids):
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                self.pids.discard(pid)
                self.replaced += 1
                self.start()

    def stop(self):
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def ask(port, number, answers):
    """One request; True if the answer is right."""
    page = f"/page/{number % PAGES}"
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", page)
        answers.append(connection.getresponse().read() == f"<h1>{page}</h1>".encode())
        connection.close()
    except (OSError, http.client.HTTPException):
        # Its worker was killed, perhaps within the answer: any client asks again.
        answers.append(None)


def clients(port, answers):
    """Four at a time."""
    def some(first):
        for number in range(first, ASKED, 4):
            ask(port, number, answers)

    threads = [threading.Thread(target=some, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    return threads


def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    parent = Parent(listener)
    for _ in range(WORKERS):
        parent.start()
    answers = []
    try:
        threads = clients(listener.getsockname()[1], answers)
        killed = 0
        while any(thread.is_alive() for thread in threads):
            if killed < 3 and len(answers) > (killed + 1) * ASKED // 5:
                os.kill(next(iter(parent.pids)), signal.SIGKILL)
                killed += 1
            parent.replace_dead()
            time.sleep(0.002)
    finally:
        parent.stop()
    wrong = answers.count(False)
    lost = answers.count(None)
    print(f"{answers.count(True)} pages served by {WORKERS} workers, {killed} killed and replaced; "
          f"rendered {hits['rendered']} times; {lost} connections lost with their worker, "
          f"{wrong} wrong; cache {'sound' if not render.cache.verify() else 'damaged'}")
    # Each kill may cost the page that was being rendered, and the connections it had.
    return 0 if wrong == 0 and lost <= 4 * killed and hits["rendered"] <= PAGES + killed else 1


if __name__ == "__main__":
    sys.exit(main())
