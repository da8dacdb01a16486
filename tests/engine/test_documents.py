"""From a directory to documents: which files are policies, when they are read, and what a whole set may not have."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from engine.documents import find, load_policies, read_stable
from engine.documents.files import STILL
from engine.extensions import kind
from tests.engine.deciding import document, person, policies, problems, read

POLICY = "kind: ModelAccess\nname: p\nmodels: [a]\n"


def names(found) -> list[str]:
    return [Path(source.path).name for source in found]


def put(folder: Path, *files: str) -> Path:
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(POLICY.replace("p", file, 1) if file.endswith("yaml") else POLICY)
    return folder


def test_policy_files_are_found_in_order_below_a_directory(tmp_path):
    put(tmp_path, "b.yaml", "a.yml", "z/deep/c.yaml", "B.yaml", "a/x.yaml")
    found = [os.path.relpath(name, tmp_path) for name, _ in find(tmp_path)]
    assert found == ["B.yaml", "a.yml", "a/x.yaml", "b.yaml", "z/deep/c.yaml"]


@pytest.mark.parametrize(
    "file",
    [
        ".hidden.yaml", "..data.yaml", "..x/a.yaml", ".git/a.yaml", "a.yaml~", "a.swp", ".a.yaml.swp", "a_test.yaml", "a_test.yml",
        "README.md", "a.json", "a.yaml.bak", "a.yaml.tmp", "yaml", "#a.yaml#", "4913",
    ],
)  # fmt: skip
def test_what_editors_and_tools_leave_is_no_policy(tmp_path, file):
    put(tmp_path, file, "a.yaml")
    assert [Path(name).name for name, _ in find(tmp_path)] == ["a.yaml"]


@pytest.mark.parametrize("file", ["test.yaml", "a_test_b.yaml", "a.b.yaml", "ä ö.yaml", "_a.yaml"])
def test_what_looks_like_something_else_is_a_policy_all_the_same(tmp_path, file):
    put(tmp_path, file)
    assert [Path(name).name for name, _ in find(tmp_path)] == [file]


def test_symlinks_are_followed_and_loops_end(tmp_path):
    elsewhere = put(tmp_path / "elsewhere", "x.yaml", "y.yaml")
    folder = put(tmp_path / "policies", "a.yaml")
    (folder / "one.yaml").symlink_to(elsewhere / "x.yaml")
    (folder / "dir").symlink_to(elsewhere)
    (folder / "loop").symlink_to(folder)
    (elsewhere / "back").symlink_to(folder)
    assert [os.path.relpath(name, folder) for name, _ in find(folder)] == [
        "a.yaml",
        "dir/x.yaml",
        "dir/y.yaml",
        "one.yaml",
    ]


def mounted(folder: Path, content: dict[str, str], version: str) -> None:
    """Write a volume as the kubelet does: files in a folder of their own, `..data` swapped over to it."""
    (folder / version).mkdir(parents=True)
    for name, text in content.items():
        path = folder / version / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        top = name.split("/", maxsplit=1)[0]
        if not (folder / top).is_symlink():
            (folder / top).symlink_to(f"..data/{top}")
    (folder / "..data_tmp").symlink_to(version)
    (folder / "..data_tmp").rename(folder / "..data")


def test_a_mounted_config_map_is_read_once_and_by_its_own_names(tmp_path):
    mounted(tmp_path, {"a.yaml": POLICY, "sub/b.yaml": POLICY.replace("p", "q", 1)}, "..2026_01")
    found = find(tmp_path)
    assert [os.path.relpath(name, tmp_path) for name, _ in found] == ["a.yaml", "sub/b.yaml"]
    assert found[0][1] == str(tmp_path / "..2026_01" / "a.yaml")
    sources, wrong = read_stable(tmp_path, still=0.0)
    assert (names(sources), wrong) == (["a.yaml", "b.yaml"], [])


def test_a_reading_never_mixes_two_versions_of_a_mounted_config_map(tmp_path):
    """A volume is swapped all the while: whatever is read is of one version throughout."""
    files = [f"{letter}.yaml" for letter in "abcdefgh"]
    mounted(tmp_path, dict.fromkeys(files, f"# 0\n{POLICY}"), "..v0")
    stop = threading.Event()

    def swap() -> None:
        version = 0
        while not stop.is_set():
            version += 1
            mounted(tmp_path, dict.fromkeys(files, f"# {version}\n{POLICY}"), f"..v{version}")
            if version > 2:
                shutil.rmtree(tmp_path / f"..v{version - 2}")
            time.sleep(0.002)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        read_whole = 0
        for _ in range(60):
            sources, _wrong = read_stable(tmp_path, still=0.0)
            if sources:
                read_whole += 1
                assert len({source.text for source in sources}) == 1
                assert names(sources) == files
    finally:
        stop.set()
        swapping.join()
    assert read_whole


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"", 1, "is empty, or too large: a file without policies may be half of one that is being written"),
        (b" \n\t\n", 1, "is empty, or too large: a file without policies may be half of one that is being written"),
        (b"kind: ModelAccess\nname: \xff\n", 2, "is not UTF-8 here: save the file as UTF-8"),
        ("kind: ä".encode("utf-16"), 1, "is not UTF-8 here: save the file as UTF-8"),
    ],
)
def test_a_file_that_may_be_half_of_one_is_an_error(tmp_path, content, line, message):
    put(tmp_path, "b.yaml")
    (tmp_path / "a.yaml").write_bytes(content)
    sources, wrong = read_stable(tmp_path, still=0.0)
    assert names(sources) == ["b.yaml"]
    assert [str(problem) for problem in wrong] == [f"{tmp_path}/a.yaml:{line}: error: {message}"]


@pytest.mark.parametrize("text", ["# a comment\n", "---\n---\n", "# a\n---\n# b\n", "{}\n", "~\n"])
def test_a_file_that_holds_no_policy_is_an_error(text):
    assert problems(text) == ["policies/p.yaml:1: error: holds no policy: every line is blank or a comment"]


def test_a_byte_order_mark_is_not_seen(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbf" + POLICY.encode())
    sources, wrong = read_stable(tmp_path, still=0.0)
    assert wrong == []
    assert not load_policies(sources, kind).problems


@pytest.mark.parametrize("what", ["nowhere", "file", "dangling", "unreadable", "pipe"])
def test_what_cannot_be_read_keeps_the_policies_that_were_in_force(tmp_path, what):
    folder = put(tmp_path / "policies", "a.yaml")
    if what == "dangling":
        (folder / "b.yaml").symlink_to(tmp_path / "nothing.yaml")
    elif what == "pipe":
        os.mkfifo(folder / "b.yaml")
    elif what == "unreadable":
        if os.geteuid() == 0:
            pytest.skip("root may read everything")
        (folder / "a.yaml").chmod(0)
    target = {"nowhere": tmp_path / "none", "file": folder / "a.yaml"}.get(what, folder)
    sources, wrong = read_stable(target, still=0.001)
    assert sources == []
    reason = {
        "nowhere": f"{tmp_path}/none: cannot be read (no such file or directory)",
        "file": f"{folder}/a.yaml: cannot be read (not a directory)",
        "dangling": f"{folder}/b.yaml: cannot be read (no such file or directory)",
        "unreadable": f"{folder}/a.yaml: cannot be read (permission denied)",
        "pipe": f"{folder}/b.yaml: cannot be read (not a regular file)",
    }[what]
    assert [str(problem) for problem in wrong] == [f"error: {reason}: the policies that were in force stay"]


class Meanwhile:
    """A clock in whose pauses others do something to the files: one step a pause, as long as there are any."""

    def __init__(self, steps: Iterable[Callable[[], object]]) -> None:
        self._steps = iter(steps)
        self.pauses = 0

    def sleep(self, seconds: float) -> None:
        self.pauses += 1
        assert seconds > 0
        next(self._steps, lambda: None)()


@pytest.fixture
def meanwhile(monkeypatch):
    def run(steps) -> Meanwhile:
        clock = Meanwhile(steps)
        monkeypatch.setattr("engine.documents.files.time", clock)
        return clock

    return run


def appending(path: Path, text: str) -> Callable[[], object]:
    def append() -> None:
        with path.open("a") as file:
            file.write(text)

    return append


def test_a_file_is_read_once_it_has_stood_still(tmp_path, meanwhile):
    """A writer that takes its time is waited for; what is read is all that it wrote."""
    path = put(tmp_path, "a.yaml") / "a.yaml"
    before = path.read_text()
    clock = meanwhile(appending(path, f"# {number}\n") for number in range(15))
    sources, wrong = read_stable(tmp_path)
    assert wrong == []
    assert sources[0].text == before + "".join(f"# {number}\n" for number in range(15))
    assert clock.pauses > 15


def test_a_file_that_never_stands_still_is_given_up(tmp_path, meanwhile):
    path = put(tmp_path, "a.yaml") / "a.yaml"
    clock = meanwhile(itertools.repeat(appending(path, "# more\n")))
    sources, wrong = read_stable(tmp_path)
    assert sources == []
    assert [str(problem) for problem in wrong] == [
        f"error: {tmp_path}: is being written all the time: it is read once it stands still"
    ]
    assert clock.pauses < 100


def test_files_that_come_and_go_while_the_others_stand_still_are_seen(tmp_path, meanwhile):
    put(tmp_path, "a.yaml", "c.yaml")
    meanwhile([lambda: put(tmp_path, "b.yaml"), (tmp_path / "c.yaml").unlink])
    sources, wrong = read_stable(tmp_path)
    assert (names(sources), wrong) == (["a.yaml", "b.yaml"], [])


def test_a_file_that_is_replaced_while_it_is_read_is_read_again(tmp_path, meanwhile):
    """An editor writes a new file and renames it over the old one: the same name, the same size, another inode."""
    path = put(tmp_path, "a.yaml") / "a.yaml"
    new = path.read_text().replace("models: [a]", "models: [b]")

    def replace() -> None:
        (tmp_path / "a.yaml~").write_text(new)
        (tmp_path / "a.yaml~").rename(path)

    meanwhile([replace])
    sources, wrong = read_stable(tmp_path)
    assert ([source.text for source in sources], wrong) == ([new], [])


def test_a_pause_is_real(tmp_path):
    put(tmp_path, "a.yaml")
    began = time.monotonic()
    assert read_stable(tmp_path)[1] == []
    assert time.monotonic() - began >= STILL


def test_names_are_unique_over_all_files():
    found = problems(POLICY, POLICY + "---\n" + POLICY.replace("p", "q", 1), document("Transform", "q", drop=["n"]))
    assert found == [
        "policies/p2.yaml:2: error: name: `p` is already the name of policies/p.yaml:1; names are unique",
        "policies/p3.yaml:3: error: name: `q` is already the name of policies/p2.yaml:5; names are unique",
    ]


def test_policies_come_in_the_order_of_files_and_then_as_they_are_written():
    found = policies(document("ModelAccess", "z", models=["a"]) + document("ModelAccess", "a", models=["a"]), document("ModelAccess", "m", models=["a"]))  # fmt: skip
    assert [policy.head.name for policy in found] == ["z", "a", "m"]
    assert [policy.head.place for policy in found] == ["policies/p.yaml:2", "policies/p.yaml:7", "policies/p2.yaml:2"]


def test_thousands_of_policies_load_in_a_time_that_grows_with_their_number():
    def seconds(count: int) -> float:
        text = "\n---\n".join(f"kind: ModelAccess\nname: p{at}\nmodels: [a]" for at in range(count))
        began = time.process_time()
        assert len(read(text).policies) == count
        return time.process_time() - began

    def least(count: int) -> float:
        """Measure three times: what else the machine does only ever adds."""
        return min(seconds(count) for _ in range(3))

    seconds(100)
    assert least(2000) < 8 * least(500) + 0.2


def test_all_problems_of_all_files_come_at_once():
    broken = "kind: ModelAccess\nname: [p\n"
    wrong = problems(
        POLICY.replace("models", "model"), broken, "kind: Modelaccess\nname: x\n", "kind: ModelAccess\nmodels: [a]\n"
    )
    assert [line.partition(": error: ")[0] for line in wrong] == [
        "policies/p.yaml:1", "policies/p.yaml:3", "policies/p2.yaml:3", "policies/p3.yaml:1", "policies/p4.yaml:1",
    ]  # fmt: skip
    assert "did you mean `models`?" in wrong[1]
    assert "did you mean `ModelAccess`?" in wrong[3]
    assert person().access == ()
