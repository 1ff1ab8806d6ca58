"""The S3 server by its clients: boto3 and obstore."""

from __future__ import annotations

import threading

import pytest

from rimrep_assets.stack.s3_server import WRITES, S3Server

boto3 = pytest.importorskip("boto3")
pytest.importorskip("moto")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with S3Server(tmp_path_factory.mktemp("s3"), buckets=["rimrep-data-public", "rimrep-data-limited"]) as server:
        yield server


@pytest.fixture
def server(running):
    running.reset()
    return running


@pytest.fixture
def client(server):
    return a_client(server)


def a_client(server, attempts: int = 1):
    from botocore.config import Config

    told = server.client_environment()
    return boto3.client(
        "s3",
        endpoint_url=told["AWS_ENDPOINT_URL"],
        aws_access_key_id=told["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=told["AWS_SECRET_ACCESS_KEY"],
        region_name=told["AWS_REGION"],
        config=Config(retries={"total_max_attempts": attempts}, s3={"addressing_style": "path"}),
    )


def test_objects_are_put_listed_and_read_by_range(client, server):
    client.put_object(Bucket="rimrep-data-public", Key="d/a b+ü.bin", Body=b"0123456789", Metadata={"a_b": "1"})
    part = client.get_object(Bucket="rimrep-data-public", Key="d/a b+ü.bin", Range="bytes=2-4")
    assert (part["Body"].read(), part["Metadata"]) == (b"234", {"a_b": "1"})
    listed = client.list_objects_v2(Bucket="rimrep-data-public", Prefix="d/")["Contents"]
    assert [(o["Key"], o["Size"]) for o in listed] == [("d/a b+ü.bin", 10)]
    assert client.head_object(Bucket="rimrep-data-public", Key="d/a b+ü.bin")["ContentLength"] == 10
    assert [(r["n"], r["method"], r["status"], r["sent"], r["range"]) for r in server.requests()][:2] == [
        (1, "PUT", 200, 0, None),
        (2, "GET", 206, 3, "bytes=2-4"),
    ]


def test_both_buckets_are_there_also_after_a_reset(client, server):
    client.put_object(Bucket="rimrep-data-public", Key="a", Body=b"1")
    server.fail("refuse")
    server.reset()
    assert {b["Name"] for b in client.list_buckets()["Buckets"]} == {"rimrep-data-limited", "rimrep-data-public"}
    assert client.list_objects_v2(Bucket="rimrep-data-public")["KeyCount"] == 0
    assert [r["n"] for r in server.requests()] == [1, 2]


def test_of_many_creators_of_one_key_exactly_one_wins(server):
    from botocore.exceptions import ClientError

    told: list[str] = []
    clients = [a_client(server) for _ in range(4)]
    together = threading.Barrier(4)

    def create(number: int) -> None:
        for key in range(6):
            together.wait()
            try:
                clients[number].put_object(
                    Bucket="rimrep-data-public", Key=f"{key}", Body=b"%d" % number * (1 << 21), IfNoneMatch="*"
                )
                told.append(f"{key} is {number}")
            except ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 412

    threads = [threading.Thread(target=create, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = []
    for key in range(6):
        part = clients[0].get_object(Bucket="rimrep-data-public", Key=f"{key}", Range="bytes=0-0")
        kept.append(f"{key} is {part['Body'].read().decode()}")
    assert sorted(told) == sorted(kept)


def test_moto_never_sees_two_requests_at_once(tmp_path):
    """moto looks whether a key exists and stores it in two steps; between them another could do the same."""
    import io

    from rimrep_assets.stack.s3_application import S3Application

    application = S3Application(tmp_path / "log", [], region="ap-southeast-2")
    meeting = threading.Barrier(2)
    met = []

    class Moto:
        def get_application(self, _environ):
            return self

        def __call__(self, _environ, start_response):
            try:
                meeting.wait(0.2)
                met.append(True)
            except threading.BrokenBarrierError:
                met.append(False)
            start_response("200 OK", [])
            return [b""]

    application.moto = Moto()

    def ask() -> None:
        environ = {"REQUEST_METHOD": "PUT", "PATH_INFO": "/b/k", "CONTENT_LENGTH": "0", "wsgi.input": io.BytesIO()}
        application(environ, lambda *_: None)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met == [False, False]


def test_a_refused_request_does_nothing_and_says_403(client, server):
    from botocore.exceptions import ClientError

    server.fail("refuse", first=2, methods=WRITES)
    client.put_object(Bucket="rimrep-data-public", Key="one", Body=b"1")
    for key in ("two", "three"):
        with pytest.raises(ClientError, match="AccessDenied"):
            client.put_object(Bucket="rimrep-data-public", Key=key, Body=b"1")
    assert client.list_objects_v2(Bucket="rimrep-data-public")["KeyCount"] == 1
    server.heal()
    client.put_object(Bucket="rimrep-data-public", Key="two", Body=b"1")
    assert [r["fault"] for r in server.requests()] == [None, "refuse", "refuse", None, None]


@pytest.mark.parametrize(("fault", "stored"), [("drop", 0), ("answer-lost", 1)])
def test_a_broken_connection_before_and_after_the_deed(client, server, fault, stored):
    from botocore.exceptions import ConnectionClosedError, HTTPClientError

    server.fail(fault, times=1)
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        client.put_object(Bucket="rimrep-data-public", Key="a", Body=b"1")
    assert client.list_objects_v2(Bucket="rimrep-data-public")["KeyCount"] == stored
    assert [(r["status"], r["fault"]) for r in server.requests()] == [(None, fault), (200, None)]


def test_a_client_that_retries_a_lost_answer_is_told_that_the_key_exists(server):
    """Seen with obstore too: the refusal may be about one's own object."""
    from botocore.exceptions import ClientError

    server.fail("answer-lost", times=1)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        a_client(server, attempts=3).put_object(Bucket="rimrep-data-public", Key="a", Body=b"1", IfNoneMatch="*")
    assert [r["status"] for r in server.requests()] == [None, 412]


def test_requests_can_be_forgotten_without_the_objects(client, server):
    client.put_object(Bucket="rimrep-data-public", Key="a", Body=b"1")
    server.forget_requests()
    assert client.get_object(Bucket="rimrep-data-public", Key="a")["Body"].read() == b"1"
    assert [(r["n"], r["path"]) for r in server.requests()] == [(1, "/rimrep-data-public/a")]


def test_obstore_finds_it_by_the_environment(server, monkeypatch):
    for name, value in server.client_environment().items():
        monkeypatch.setenv(name, value)
    import obstore
    from obstore.store import S3Store

    store = S3Store("rimrep-data-public", client_options={"allow_http": True})
    obstore.put(store, "a/b", b"1", mode="create")
    assert bytes(obstore.get(store, "a/b").bytes()) == b"1"
    with pytest.raises(obstore.exceptions.AlreadyExistsError):
        obstore.put(store, "a/b", b"2", mode="create")
    parts = obstore.open_writer(store, "big", buffer_size=5 << 20)
    parts.write(b"x" * (6 << 20))
    parts.close()
    assert obstore.head(store, "big")["size"] == 6 << 20
