"""What the sensors ask Dagster's web server: valid for its schema, and every answer is understood."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rimrep_assets.defs.dagster_web import RELOAD, TERMINATE, DagsterWeb
from rimrep_assets.domain.errors import Unavailable


class Web:
    """A server that remembers what it was asked and answers what it is told."""

    def __init__(self) -> None:
        self.asked: list[dict] = []
        self.answer: dict | str = {}
        self.status = 200
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                web.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                body = web.answer if isinstance(web.answer, str) else json.dumps(web.answer)
                self.send_response(web.status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *told: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def says(self, **data: object) -> None:
        self.answer = {"data": data}


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.mark.parametrize("query", [RELOAD, TERMINATE])
def test_what_is_asked_is_valid_for_the_schema_of_this_dagster(query):
    create_schema = pytest.importorskip("dagster_graphql.schema").create_schema
    from graphql import parse, validate

    assert validate(create_schema().graphql_schema, parse(query)) == []


def test_a_reload_names_the_location_and_a_termination_the_run(web):
    told = DagsterWeb.from_environment({"RIMREP_DAGSTER_URL": f"{web.url}/"})
    loaded = {"__typename": "WorkspaceLocationEntry", "locationOrLoadError": {"__typename": "RepositoryLocation"}}
    web.says(reloadRepositoryLocation=loaded)
    told.reload("rimrep_assets")
    web.says(terminateRun={"__typename": "TerminateRunSuccess"})
    told.terminate("a-run")
    assert [request["variables"] for request in web.asked] == [{"location": "rimrep_assets"}, {"run": "a-run"}]


def test_every_other_answer_is_unavailable_with_dagster_s_own_words(web):
    told = DagsterWeb(web.url)
    for answer, words in [
        ({"reloadRepositoryLocation": {"__typename": "ReloadNotSupported", "message": "not here"}}, "not here"),
        (
            {
                "reloadRepositoryLocation": {
                    "__typename": "WorkspaceLocationEntry",
                    "locationOrLoadError": {"__typename": "PythonError", "message": "it is broken"},
                }
            },
            "it is broken",
        ),
    ]:
        web.answer = {"data": answer}
        with pytest.raises(Unavailable, match=words):
            told.reload("rimrep_assets")
    web.says(terminateRun={"__typename": "RunNotFoundError", "message": "no such run"})
    with pytest.raises(Unavailable, match="no such run"):
        told.terminate("a-run")
    web.answer = {"errors": [{"message": "a syntax error"}]}
    with pytest.raises(Unavailable, match="a syntax error"):
        told.terminate("a-run")
    for answer in ("<html>", "[]"):
        web.answer, web.status = answer, 502
        with pytest.raises(Unavailable):
            told.terminate("a-run")


def test_a_server_that_is_gone_or_not_known_is_unavailable(web):
    url = web.url
    web.server.server_close()
    with pytest.raises(Unavailable, match="did not answer"):
        DagsterWeb(url).reload("rimrep_assets")
    with pytest.raises(Unavailable, match="RIMREP_DAGSTER_URL"):
        DagsterWeb.from_environment({}).reload("rimrep_assets")
