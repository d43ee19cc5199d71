"""The client of endpoints: patience, limits, names of faults, and a key that is in no message and no answer."""

from __future__ import annotations

import email.utils
import json
import time

import pytest

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.endpoints.endpoint_client import EndpointClient, chat_body
from kdgov.endpoints.faults import EndpointRefusedError, EndpointUnavailableError
from kdgov.endpoints.limits import Limits
from kdgov.endpoints.reply import is_same_model
from kdgov.endpoints.transport import _authorization
from kdgov.errors import EXIT_ENVIRONMENT, EXIT_INPUT
from tests.endpoints.scripted_server import scripted_server

SECRET = "sk-very-secret-0123456789"  # noqa: S105 - no secret


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr("kdgov.endpoints.endpoint_client._FIRST_PAUSE_S", 0.01)


def endpoint(server, **changes):
    return Endpoint.model_validate({"base_url": server.url, "model": "big", "terms": "MIT", "retries": 2, "timeout_s": 5, **changes})


def body(text="hello", **settings):
    return {"messages": [{"role": "user", "content": text}], **settings}


def _collect(answers, received):
    for place, _ in answers:
        received.append(place)


def test_many_are_asked_at_once_and_every_answer_keeps_its_place():
    with scripted_server(pause=0.05) as server, EndpointClient(endpoint(server, concurrency=8)) as client:
        found = dict(client.ask_all(body(str(n)) for n in range(24)))
    assert {n: reply.text for n, reply in found.items()} == {n: f"re: {n}" for n in range(24)}
    assert 2 < server.most <= 8, "a loaded machine may start them more slowly, never more of them"
    assert (client.totals.requests, client.totals.answers, client.totals.input_tokens, client.totals.output_tokens) == (24, 24, 240, 120)


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        ({"status": 429, "headers": {"Retry-After": "0"}}, "rate_limited"),
        ({"status": 500}, "server_error"),
        ({"status": 503}, "server_error"),
        ({"sleep": 0.6}, "timeout"),
        ({"drip": 0.02}, "timeout"),
        ({"missing": 100}, "cut_answer"),
        ({"raw": b'{"choices": [{"mess'}, "cut_answer"),
        ({"raw": b'{"choices": []}'}, "cut_answer"),
        ({"raw": b'{"error": {"message": "overloaded", "code": 503}}'}, "server_error"),
    ],
)
def test_what_may_pass_is_asked_again_and_counted_by_name(step, kind):
    with scripted_server([step]) as server, EndpointClient(endpoint(server, timeout_s=0.4)) as client:
        assert client.ask(body()).text == "re: hello"
        assert client.totals.faults == {kind: 1}
    with scripted_server([step] * 3) as server, EndpointClient(endpoint(server, timeout_s=0.4)) as client:
        with pytest.raises(EndpointUnavailableError) as caught:
            client.ask(body())
        assert (caught.value.fault.kind, caught.value.exit_code) == (kind, EXIT_ENVIRONMENT)


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        ({"status": 401, "says": f"bad key {SECRET}"}, "refused"),
        ({"status": 400}, "refused"),
        ({"status": 307, "headers": {"Location": "http://127.0.0.1:9/"}}, "redirected"),
        ({"answer": {"model": "big-mini"}}, "wrong_model"),
        ({"raw": b'{"hello": 1}'}, "no_answer"),
        ({"raw": b"[" * 5000}, "no_answer"),
        ({"headers": {"Content-Encoding": "gzip"}}, "no_answer"),
    ],
)
def test_what_cannot_pass_is_not_asked_again(step, kind, monkeypatch):
    monkeypatch.setenv("ACME_API_KEY", SECRET)
    with scripted_server([step] * 2) as server, EndpointClient(endpoint(server, key_variable="ACME_API_KEY")) as client:
        with pytest.raises(EndpointRefusedError) as caught:
            client.ask(body())
        assert len(server.asked) == 1
    assert (caught.value.fault.kind, caught.value.exit_code) == (kind, EXIT_INPUT)
    assert SECRET not in str(caught.value)


def test_an_answer_without_end_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr("kdgov.endpoints.transport.LARGEST_ANSWER_BYTES", 1 << 16)
    with (
        scripted_server([{"text": "x" * (1 << 17)}]) as server,
        EndpointClient(endpoint(server)) as client,
        pytest.raises(EndpointRefusedError, match="too long"),
    ):
        client.ask(body())


@pytest.mark.parametrize("as_date", [False, True])
def test_a_pause_that_the_server_asks_for_holds_for_all_requests(as_date):
    until = email.utils.formatdate(time.time() + 2, usegmt=True) if as_date else "1"
    step = {"status": 429, "headers": {"Retry-After": until}}
    with scripted_server([step]) as server, EndpointClient(endpoint(server, concurrency=1)) as client:
        assert len(dict(client.ask_all([body("a"), body("b")]))) == 2
    times = [at for *_, at in server.asked]
    assert times[1] - times[0] >= 0.9
    assert times[2] - times[1] < 0.5


def test_a_pause_that_is_too_long_ends_the_command_at_once():
    with scripted_server([{"status": 429, "headers": {"Retry-After": "86400"}}]) as server, EndpointClient(endpoint(server)) as client:
        with pytest.raises(EndpointUnavailableError, match="429"):
            client.ask(body())
        assert len(server.asked) == 1


def test_an_answer_that_was_paid_is_handed_out_before_the_error():
    with scripted_server([{}, {"status": 400}, {}, {}], pause=0.05) as server, EndpointClient(endpoint(server, concurrency=4)) as client:
        received = []
        with pytest.raises(EndpointRefusedError):
            _collect(client.ask_all(body(str(n)) for n in range(40)), received)
    assert len(received) == len(server.asked) - 1
    assert len(server.asked) < 12


def test_cost_is_counted_and_the_budget_is_never_passed():
    price = {"input": 100_000, "output": 200_000}  # one answer of 10 + 5 tokens: 2 dollars
    with scripted_server(pause=0.01) as server:
        asked = endpoint(server, price=price, budget_usd=9, concurrency=4)
        with EndpointClient(asked) as client:
            with pytest.raises(EndpointRefusedError, match="budget_usd"):
                list(client.ask_all(body(str(n), max_tokens=5) for n in range(40)))
            assert client.totals.usd == pytest.approx(2 * client.totals.answers)
            assert 0 < client.totals.usd <= 9
        with EndpointClient(asked, spent_usd=8.99) as client, pytest.raises(EndpointRefusedError, match="budget_usd"):
            client.ask(body(max_tokens=5))


def test_requests_and_tokens_per_minute_space_the_starts():
    now = [0.0]
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    declared = Endpoint(base_url="https://h/v1", model="m", terms="MIT", requests_per_minute=60, tokens_per_minute=6000)
    limits = Limits(declared, clock=lambda: now[0], sleep=sleep)
    held = [limits.enter(0, 10) for _ in range(3)]
    assert now[0] == pytest.approx(2.0)
    limits.leave(held[0], tokens=10, usd=0)
    limits.enter(200, 100)
    limits.enter(0, 1)
    assert now[0] == pytest.approx(6.0)


def test_the_key_goes_into_a_header_and_into_no_answer(monkeypatch):
    monkeypatch.setenv("ACME_API_KEY", SECRET)
    script = [{"text": f"your key is {SECRET}"}]
    with scripted_server(script) as server, EndpointClient(endpoint(server, key_variable="ACME_API_KEY")) as client:
        reply = client.ask(body())
    assert server.asked[0][1]["Authorization"] == f"Bearer {SECRET}"
    assert SECRET not in json.dumps(reply.raw)
    assert reply.text == "your key is [key]"


def test_no_key_is_sent_where_none_is_named(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with scripted_server() as server, EndpointClient(endpoint(server)) as client:
        client.ask(body())
    assert "Authorization" not in server.asked[0][1]
    assert Endpoint(base_url="https://api.openai.com/v1", model="m", terms="MIT").key_name == "OPENAI_API_KEY"


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://169.254.169.254/v1", "link-local"),
        ("http://llm.example.com/v1", "unencrypted"),
        ("https://other.example.com/v1", "not among"),
    ],
)
def test_an_address_that_may_not_be_asked_is_refused(address, says, monkeypatch):
    monkeypatch.setenv("ACME_API_KEY", SECRET)
    monkeypatch.setenv("KDGOV_ENDPOINT_HOSTS", "llm.example.com, 169.*, 127.0.0.1")
    with pytest.raises(EndpointRefusedError, match=says) as caught:
        EndpointClient(Endpoint(base_url=address, model="m", terms="MIT", key_variable="ACME_API_KEY"))
    assert SECRET not in str(caught.value)


def test_thoughts_calls_and_parts_are_read():
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bonn"}'}}
    message = {
        "content": [{"type": "text", "text": "It "}, {"type": "text", "text": "rains."}],
        "reasoning_content": "hm",
        "tool_calls": [call],
    }
    answer = {"choices": [{"message": message, "finish_reason": "tool_calls"}], "system_fingerprint": "fp_1", "usage": None}
    with scripted_server([{"answer": answer}]) as server, EndpointClient(endpoint(server)) as client:
        reply = client.ask(body())
    assert (reply.text, reply.reasoning, reply.fingerprint, reply.finish_reason) == ("It rains.", "hm", "fp_1", "tool_calls")
    assert reply.tool_calls == ({"name": "weather", "arguments": '{"city": "Bonn"}'},)
    assert not reply.is_counted
    assert reply.input_tokens > 0


def test_plain_completions_and_a_query_in_the_address():
    with scripted_server([{"answer": {"choices": [{"text": "yes"}]}}]) as server:
        asked = endpoint(server, api="completions", base_url=server.url + "?api-version=1", extra_body={"top_k": 1})
        with EndpointClient(asked) as client:
            assert client.ask(chat_body(asked, [{"role": "user", "content": "q"}], max_tokens=3)).text == "yes"
    path, _, sent, _ = server.asked[0]
    assert path == "/v1/completions?api-version=1"
    assert sent == {"prompt": "q", "max_tokens": 3, "top_k": 1, "model": "big"}
    assert asked.address == server.url


@pytest.mark.parametrize(
    ("asked", "answered", "same"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4o", "gpt-4o-2024-08-06", True),
        ("gpt-4", "gpt-4-0613", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4o", "gpt-4o-mini-2024-07-18", False),
        ("gpt-4", "gpt-4-turbo", False),
        ("llama-3", "llama-3-8b", False),
        ("Qwen/Qwen3-8B", "qwen3-8b", True),
        ("Qwen/Qwen3-8B", "evil/qwen3-8b", False),
        ("/models/teacher", "teacher@main", True),
        ("m", "", True),
    ],
)
def test_a_dated_name_is_the_same_model_and_another_size_is_not(asked, answered, same):
    assert is_same_model(asked, answered, []) is same
    assert is_same_model(asked, answered, [answered])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"budget_usd": 1}, "no price"),
        ({"extra_body": {"model": "x"}}, "extra_body"),
        ({"api": "chats"}, "chat"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        Endpoint.model_validate({"base_url": "https://h/v1", "model": "m", "terms": "MIT", **changes})


def test_the_first_request_goes_out_alone_so_that_a_wrong_key_is_met_once():
    with scripted_server([{"status": 401}]) as server, EndpointClient(endpoint(server, concurrency=8)) as client:
        with pytest.raises(EndpointRefusedError):
            list(client.ask_all(body(str(n)) for n in range(24)))
        assert len(server.asked) == 1
        assert len(list(client.ask_all(body(str(n)) for n in range(24)))) == 24


def test_the_newer_name_of_the_longest_answer_is_learnt_from_the_refusal():
    refusal = {"status": 400, "says": "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."}
    with scripted_server([refusal]) as server, EndpointClient(endpoint(server, concurrency=4)) as client:
        assert len(list(client.ask_all(body(str(n), max_tokens=n + 3) for n in range(5)))) == 5
    sent = [asked[2] for asked in server.asked]
    assert sent[0]["max_tokens"] == 3
    assert sorted(one["max_completion_tokens"] for one in sent[1:]) == [3, 4, 5, 6, 7]
    assert not any("max_tokens" in one for one in sent[1:])


@pytest.mark.parametrize(
    ("says", "mend"),
    [
        ("Unsupported value: 'temperature' does not support 0.0 with this model.", "extra_body: {temperature: null}"),
        ("Unrecognized request argument supplied: chat_template_kwargs", "extra_body: {chat_template_kwargs: null}"),
        ("This model only supports stream=true", "extra_body: {stream: true}"),
        ("something else", "Correct the request's parameters"),
    ],
)
def test_a_refused_parameter_is_told_with_the_line_that_leaves_it_out(says, mend):
    settings = {"temperature": 0, "chat_template_kwargs": {"enable_thinking": False}}
    with (
        scripted_server([{"status": 400, "says": says}]) as server,
        EndpointClient(endpoint(server)) as client,
        pytest.raises(EndpointRefusedError) as caught,
    ):
        client.ask(body(**settings))
    assert mend in caught.value.mend


def _events(*events, end="[DONE]"):
    texts = [json.dumps(event) for event in events] + ([end] if end else [])
    return b": waiting\n\n" + "".join(f"data: {text}\n\n" for text in texts).encode()


def _delta(said, why=None):
    return {"model": "big", "system_fingerprint": "fp", "choices": [{"index": 0, "delta": said, "finish_reason": why}]}


def test_an_answer_that_comes_as_a_stream_is_joined():
    call = [{"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a"'}}]
    rest = [{"index": 0, "function": {"arguments": ": 1}"}}]
    counted = {"model": "big", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}}
    whole = _events(
        _delta({"role": "assistant", "reasoning_content": "hm"}), _delta({"content": "no "}),
        _delta({"content": "way", "tool_calls": call}), _delta({"tool_calls": rest}, "stop"), counted,
    )  # fmt: skip
    with scripted_server([{"raw": whole}]) as server, EndpointClient(endpoint(server, extra_body={"stream": True})) as client:
        reply = client.ask(body())
    assert server.asked[0][2]["stream"] is True
    assert (reply.text, reply.reasoning, reply.finish_reason, reply.fingerprint) == ("no way", "hm", "stop", "fp")
    assert (reply.input_tokens, reply.output_tokens, reply.is_counted) == (9, 4, True)
    assert reply.tool_calls == ({"name": "f", "arguments": '{"a": 1}'},)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (_events(_delta({"content": "no "}), end=""), "cut_answer"),
        (b'data: {"choices": [{"del', "cut_answer"),
        (_events({"error": {"message": "overloaded"}}), "server_error"),
        (_events([1]), "no_answer"),
        (_events({"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}], "model": "other"}), "wrong_model"),
    ],
)
def test_a_stream_that_ends_early_or_tells_an_error_is_no_answer(raw, kind):
    with (
        scripted_server([{"raw": raw}]) as server,
        EndpointClient(endpoint(server, retries=0)) as client,
        pytest.raises((EndpointRefusedError, EndpointUnavailableError)) as caught,
    ):
        client.ask(body())
    assert caught.value.fault.kind == kind


def test_a_count_of_nothing_is_no_count():
    nothing = {"answer": {"usage": {"prompt_tokens": 0, "completion_tokens": 0}}}
    priced = {"price": {"input": 1e6, "output": 1e6}}
    with scripted_server([nothing]) as server, EndpointClient(endpoint(server, **priced)) as client:
        reply = client.ask(body("a question of some length"))
    assert not reply.is_counted
    assert reply.input_tokens > 5
    assert reply.usd == reply.input_tokens + reply.output_tokens > 10


def test_a_near_address_is_reached_directly_whatever_proxy_the_environment_names(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with scripted_server() as server, EndpointClient(endpoint(server)) as client:
        assert client.ask(body()).text == "re: hello"
    far = Endpoint.model_validate({"base_url": "https://llm.example.com/v1", "model": "m", "terms": "MIT"})
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:9")
    with pytest.raises(EndpointRefusedError, match="the proxy that HTTPS_PROXY"):
        EndpointClient(far)


@pytest.mark.parametrize(
    ("host", "key", "header"),
    [
        ("https://acme.openai.azure.com/openai/v1", SECRET, {"api-key": SECRET}),
        ("https://acme.openai.azure.com/openai/v1", "eyJ0.e.s", {"Authorization": "Bearer eyJ0.e.s"}),
        ("https://acme.azure.com.example.com/v1", SECRET, {"Authorization": f"Bearer {SECRET}"}),
    ],
)
def test_a_key_goes_in_the_header_that_its_host_reads(host, key, header):
    asked = Endpoint.model_validate({"base_url": host, "model": "m", "terms": "MIT"})
    assert _authorization(asked, key) == header


def test_an_address_with_what_is_added_to_it_is_refused():
    with pytest.raises(ValueError, match=r"which is added\nWrite https://h/openai/v1\."):
        Endpoint.model_validate({"base_url": "https://h/openai/v1/chat/completions/?api-version=1", "model": "m", "terms": "MIT"})
