"""Other gateways as rows: left out where they are not, asked with what is theirs, never for more than they can."""

import contextlib
import json
import signal
import socketserver
import sys
import threading

import pytest

from bench import fetch_peers, machine, peer_rows
from bench.fetch_peers import NotFetchedError, fetch
from bench.load import Job, Target, run
from bench.measure import Bench, Plan, capacity, paces
from bench.peer_rows import PEERS, envoy_config, litellm_config
from bench.ports import free_port
from bench.report import table
from bench.rows import ROWS
from bench.servers import NotStarted, Process, Upstream
from bench.shapes import SHAPES
from bench.site import LeftOutError, Row, Site
from bench.summary import document
from tests.bench.test_summary import result


@contextlib.contextmanager
def noting(heads):
    """Answer every request and note its head."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            with contextlib.suppress(ConnectionError):
                while line := self.rfile.readline():
                    head = [line]
                    while head[-1] != b"\r\n":
                        head.append(self.rfile.readline())
                    fields = dict(each.decode().strip().split(": ", 1) for each in head[1:-1])
                    self.rfile.read(int(fields["content-length"]))
                    heads.append(fields)
                    self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize("rate", [0, 100])
def test_keys_and_headers_of_one_row_are_sent_to_that_row_only(rate):
    own, others = [], []
    with noting(own) as port, noting(others) as other:
        mine = Target("own", port, keys=("sk-own",), headers=(("x-portkey-provider", "openai"), ("x-more", "1")))
        job = Job("1k", 0.05, (mine, Target("other", other)), keys=("sk-a", "sk-b"), rate=rate, poisson=False)
        assert Job.from_json(job.to_json()) == job
        results = run(Job.from_json(job.to_json()))
    assert all(seen.requests and not seen.errors for _, seen in results)
    assert {head["authorization"] for head in own} == {"Bearer sk-own"}
    assert {(head["x-portkey-provider"], head["x-more"]) for head in own} == {("openai", "1")}
    assert {head["authorization"] for head in others} <= {"Bearer sk-a", "Bearer sk-b"}
    assert not any("x-more" in head for head in others)


def test_a_slow_row_has_fewer_turns():
    with noting([]) as port:
        targets = (Target("fast", port), Target("slow", port, every=4))
        names = [name for name, _ in run(Job("1k", 0.01, targets, rounds=6))]
    assert names.count("fast") == 6
    assert names.count("slow") == 2
    assert "slow" in names[:2]


def test_turns_are_powers_of_two_so_that_blocks_hold_whole_ones():
    assert {row.every for row in ROWS.values()} <= {1, 2, 4, 8}


def test_no_row_is_asked_for_more_than_it_has_cpu_time_for():
    closed = {"direct": [result(1, 0)], "fast": [result(100, 100)], "slow": [result(10, 8_000)] * 2}
    assert capacity(closed["slow"]) == 125
    assert paces("1k", (300, 1_000), closed) == {20: ["slow"], 300: ["fast"], 1_000: ["fast"]}
    assert paces("1k", (100, 300), closed) == {100: ["fast", "slow"], 300: ["fast"]}


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_that_is_not_installed_is_left_out(name, tmp_path, monkeypatch):
    monkeypatch.setattr(peer_rows, "PEERS_DIRECTORY", tmp_path / "none")
    with pytest.raises(LeftOutError, match=rf"^{name} is not installed \(make bench-peers\)$"):
        PEERS[name].command(name, Site(1, tmp_path), 2)


def test_the_report_says_what_was_left_out_and_why(tmp_path, monkeypatch):
    monkeypatch.setattr(peer_rows, "PEERS_DIRECTORY", tmp_path)
    monkeypatch.setitem(ROWS, "litellm", Row(lambda *_: ["false"]))
    plan = Plan(("bare", "envoy", "litellm"), ("1k",), closed_seconds=0.1, paced_seconds=0.1, paced_rounds=1)
    made = document(Bench(plan).run(), plan, machine.facts())
    assert set(made["cells"]["1k"]) == {"direct", "bare"}
    text = table(made)
    assert "\nenvoy: left out: envoy is not installed (make bench-peers)" in text
    assert "\nlitellm: not run: exited with status 1" in text


def test_a_row_is_waited_for_where_and_as_long_as_it_says(tmp_path):
    row = Row(lambda *_: [], ready="/", start_seconds=5.0)
    port = free_port()
    with Process([sys.executable, "-m", "http.server", "-d", str(tmp_path), str(port)], machine.cores()[0]) as started:
        started.await_ready(port, row)
        with pytest.raises(NotStarted, match="not ready within 0 s, last status 404"):
            started.await_ready(port, Row(row.command, ready="/none", start_seconds=0.2))


def test_what_a_row_needs_is_in_its_environment_beside_ours():
    code = "import os; print(os.environ['OWN'], 'PATH' in os.environ, flush=True); input()"
    with Process([sys.executable, "-c", code], machine.cores()[0], piped=True, environ={"OWN": "x"}) as started:
        assert started.line() == "x True\n"


def test_peers_are_configured_for_the_fake_provider(tmp_path):
    site = Site(4321, tmp_path)
    (model,) = litellm_config(site)["model_list"]
    assert model["litellm_params"]["api_base"] == "http://127.0.0.1:4321/v1"
    assert PEERS["litellm"].keys(site) == (site.master_key,)
    assert PEERS["portkey"].headers(site)["x-portkey-custom-host"] == "http://127.0.0.1:4321/v1"
    listener, provider = ('"port_value": 8765', '"port_value": 4321')
    text = json.dumps(envoy_config(site, 8765))
    assert listener in text
    assert provider in text


def test_a_peer_is_installed_once_for_the_same_pins_and_anew_for_others(tmp_path, monkeypatch):
    done = []

    def install(directory):
        done.append(directory.name)
        (directory / "env").mkdir(exist_ok=True)

    monkeypatch.setattr(fetch_peers, "_PEERS", {"some": ("pins.txt", "env", install)})
    (tmp_path / "some").mkdir()
    pins = tmp_path / "some" / "pins.txt"
    for version in (1, 1, 2):
        pins.write_text(f"some=={version}\n")
        fetch("some", tmp_path)
    assert done == ["some", "some"]


def test_what_cannot_be_installed_is_named_and_the_others_are_installed(tmp_path, monkeypatch, capsys):
    def offline(directory):
        fetch_peers._run([sys.executable, "-c", "raise SystemExit('no route to the index')"], directory)

    monkeypatch.setattr(fetch_peers, "_PEERS", {"some": ("pins", "env", offline), "other": ("pins", "env", offline)})
    monkeypatch.setattr(fetch_peers, "fetch", lambda name: offline(tmp_path) if name == "some" else "installed")
    assert fetch_peers.main() == 1
    out = capsys.readouterr().out
    assert "some: not installed: " in out
    assert "no route to the index" in out
    assert "other: installed" in out
    monkeypatch.setattr(fetch_peers.shutil, "which", lambda *_, **__: None)
    with pytest.raises(NotFetchedError, match=r"Node\.js and npm are not installed"):
        fetch_peers._node(tmp_path)


def test_pins_name_no_address():
    pins = [path for path in peer_rows.PEERS_DIRECTORY.glob("*/*") if path.is_file()]
    assert len(pins) >= 5
    for path in pins:
        text = path.read_text()
        assert "://" not in text, path
        if path.name == "requirements.txt":
            assert all("==" in line for line in text.splitlines())


@pytest.mark.heavy
@pytest.mark.parametrize("name", PEERS)
def test_a_peer_that_is_installed_answers_every_shape(name, tmp_path):
    with Upstream(machine.cores()[1]) as upstream:
        site, row, port = Site(upstream.port, tmp_path), PEERS[name], free_port()
        try:
            command = row.command(name, site, port)
        except LeftOutError as missing:
            pytest.skip(str(missing))
        with Process(command, machine.cores()[0], environ=row.environ) as started:
            started.await_ready(port, row)
            target = Target(name, port, tuple(started.pids()), row.keys(site), tuple(row.headers(site).items()))
            for shape in SHAPES:
                ((_, seen),) = run(Job(shape, 0.05, (target,)))
                assert not seen.errors, (shape, started.tail())
                assert seen.requests
                assert seen.cpu_ns["gateway"] > 0
            assert started._child.poll() is None
        assert started._child.returncode in (0, -signal.SIGTERM, -signal.SIGKILL)
