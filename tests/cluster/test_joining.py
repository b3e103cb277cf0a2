"""Who is let into a cluster: what is said of tokens, by a head that is made up, and by Ray's own checks."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from raygan.cluster import joining, ray_private
from raygan.cluster.joining import join
from tests.errors import raises

TOKEN = "a" * 64


class Heads(grpc.GenericRpcHandler):
    """Answers as Ray's head does to the first question."""

    def service(self, details):
        def answer(request, context):
            if ("authorization", f"Bearer {TOKEN}") not in details.invocation_metadata:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken: ...")
            return b""

        asked = details.method == "/ray.rpc.NodeInfoGcsService/CheckAlive"
        return grpc.unary_unary_rpc_method_handler(answer) if asked else None


@pytest.fixture
def head(monkeypatch):
    """The address of a head that asks for a token; what follows on the question is noted instead of done."""
    server = grpc.server(ThreadPoolExecutor(1), handlers=[Heads()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    yield f"127.0.0.1:{port}"
    server.stop(None)


@pytest.fixture
def joined(monkeypatch):
    joined = []
    monkeypatch.setattr(joining.ray, "init", lambda address, **how: joined.append(address))
    return joined


def has(monkeypatch, token):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    monkeypatch.setattr(ray_private, "get_auth_headers_if_auth_enabled", lambda given: headers)
    if token:
        monkeypatch.setenv("RAY_AUTH_MODE", "token")


def test_who_has_the_token_joins(head, joined, monkeypatch):
    has(monkeypatch, TOKEN)
    join(head, "engine.address")
    assert joined == [head]


def test_a_wrong_token(head, joined, monkeypatch):
    has(monkeypatch, "b" * 64)
    with raises("engine.address", None, head, "~/.ray/auth_token", "RAY_AUTH_TOKEN_PATH"):
        join(head, "engine.address")
    assert joined == []


@pytest.mark.parametrize("address", ["auto", None])
def test_no_token(address, head, joined, monkeypatch):
    has(monkeypatch, None)
    monkeypatch.setattr(joining, "found_address", lambda: head)
    with raises("$RAY_ADDRESS", None, head, "RAY_AUTH_MODE=token"):
        join(address or head, "$RAY_ADDRESS")
    assert joined == []


@pytest.mark.parametrize("path", [None, "/nowhere/token"])
def test_a_mode_without_a_token(path, head, joined, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    if path:
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", path)
    lacks = [f"RAY_AUTH_TOKEN_PATH={path}"] if path else []

    def lacking(given):
        raise joining.ray.exceptions.AuthenticationError("Token authentication is enabled but ...")

    monkeypatch.setattr(ray_private, "get_auth_headers_if_auth_enabled", lacking)
    with raises("RAY_AUTH_MODE=token", None, *lacks):
        join(head, "engine.address")


def test_a_head_that_does_not_answer_is_left_to_ray(joined, monkeypatch):
    has(monkeypatch, None)
    monkeypatch.setattr(joining, "knock", lambda address: None)
    join("127.0.0.1:1", "engine.address")
    assert joined == ["127.0.0.1:1"]


def test_no_cluster_for_auto_is_left_to_ray(joined, monkeypatch):
    monkeypatch.setattr(joining, "found_address", lambda: None)
    join("auto", "engine.address")
    assert joined == ["auto"]
