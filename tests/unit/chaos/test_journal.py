import json
import subprocess
import sys
from pathlib import Path

from chimera.chaos.journal import Journal, read
from chimera.chaos.message_faults import renamed, under_way
from chimera.chaos.process_faults import busy_pids


def test_what_is_noted_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "told.jsonl")
    journal.note("plan", plan="a", tasks=3)
    journal.note("cancelled", plan="a")
    journal.close()
    assert list(read(tmp_path / "told.jsonl", "plan")) == [{"what": "plan", "plan": "a", "tasks": 3}]


def test_a_line_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text('{"what":"run","nonce":"a"}\n{"what":"run","no')
    assert [entry["nonce"] for entry in read(path, "run")] == ["a"]
    assert list(read(tmp_path / "none", "run")) == []


def test_lines_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    script = (
        "import sys; from pathlib import Path; from chimera.chaos.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]), durable=False)\n"
        "for number in range(500): journal.note('run', nonce=sys.argv[2] * 50, number=number)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(path), name]) for name in "ab"]
    assert [writer.wait(30) for writer in writers] == [0, 0]
    entries = list(read(path, "run"))
    assert len(entries) == 1000
    assert {entry["nonce"] for entry in entries} == {"a" * 50, "b" * 50}


def test_the_processes_that_are_in_the_middle_of_a_task() -> None:
    runs = [{"pid": pid, "at": 100.0 + pid, "seconds": 0.0 if pid % 2 else 3.0} for pid in range(10)]
    tail = "".join(json.dumps(line) + "\n" for line in runs).encode()
    assert busy_pids(tail[10:], now=109.5) == [8]
    assert busy_pids(b"", now=0.0) == []


def test_a_message_that_is_worked_on_is_copied_to_its_queue() -> None:
    message = {"body": "ids", "properties": {"delivery_tag": "one"}}
    queue, text = under_way(json.dumps([message, "judge", "judge"]).encode())
    assert (queue, json.loads(text)) == (b"judge", message)
    copy = json.loads(renamed(text))
    assert copy["properties"]["delivery_tag"] != "one"
    assert copy["body"] == "ids"
