"""The parts of hosts that need no process: what can be read, frames, what is known of a skill without its code."""

import os
import struct
from pathlib import Path

import pytest

from chimera import Success
from chimera.adapters.host.frames import BadFrame, Frames
from chimera.adapters.host.landlock import LIST, READ, readable
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.declaration import planner_declarations, skill_declarations
from chimera.models.work.hosted import HostedDeclaration, HostedPlanner, HostedSkill
from chimera.models.work.planner import Planner
from chimera.models.work.skill import Skill
from chimera.models.work.task import TaskSpec
from chimera.settings import Settings


@pytest.fixture
def project(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    for name in ("skills.py", ".env", "tls.pem", "private.txt", "data/env", "data/model.bin", "pack/inner.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch(mode=0o644)
    (tmp_path / "private.txt").chmod(0o600)
    for folder in ("data", "pack"):
        (tmp_path / folder).chmod(0o755)
    return tmp_path


def test_a_project_is_read_without_its_secrets(project: Path) -> None:
    rules = dict(readable(project, frozenset({project / "data" / "env"})))
    whole = {Path(path).name for path, rights in rules.items() if rights == READ}
    assert whole == {"skills.py", "pack", "model.bin"}
    assert {Path(path) for path, rights in rules.items() if rights == LIST} == {project, project / "data"}


def test_of_a_folder_that_is_private_itself_files_that_are_private_are_read(project: Path) -> None:
    project.chmod(0o700)
    assert str(project / "private.txt") in dict(readable(project, frozenset()))
    assert str(project / ".env") not in dict(readable(project, frozenset()))


def test_frames_come_in_pieces_of_any_size() -> None:
    texts = [os.urandom(size) for size in (0, 1, 1000)]
    stream = b"".join(struct.pack("!Q", len(text)) + text for text in texts)
    for size in (1, 7, len(stream)):
        frames, got = Frames(1000), []
        for start in range(0, len(stream), size):
            frames.feed(stream[start : start + size])
            while (frame := frames.next()) is not None:
                got.append(frame)
        assert got == texts


def test_a_frame_that_is_too_large_is_refused_before_it_is_there() -> None:
    frames = Frames(1000)
    frames.feed(struct.pack("!Q", 1001))
    with pytest.raises(BadFrame, match="1001"):
        frames.next()


def test_a_skill_is_known_without_its_code_as_it_is_with_it() -> None:
    def classify(text: str, limit: int = 3) -> Success[list[str]]:
        raise AssertionError(text, limit)

    def plans(rows: list[str]) -> list[TaskSpec]:
        raise AssertionError(rows)

    skill = Skill(classify, name="classify", max_batch=7, timeout_seconds=2.0, max_attempts=4, effects=["tells"])
    planner = Planner(plans, name="plans", description="plans it")
    planner.replan(lambda denied: denied.task())
    (said,) = skill_declarations([skill])
    (of_planner,) = planner_declarations([planner])
    hosted, hosted_planner = HostedSkill(HostedDeclaration(**dict(said), is_async=False)), HostedPlanner(of_planner)
    assert skill_declarations([hosted]) == [said]
    assert planner_declarations([hosted_planner]) == [of_planner]
    assert hosted.fingerprint == skill.fingerprint
    hosted_planner.check_inputs({"rows": 5})  # the host refuses them
    with pytest.raises(RuntimeError, match="another process"):
        hosted("text")
    catalogue = Catalogue()
    for _ in range(2):  # a worker that starts anew says the same
        catalogue.add_skill(hosted)
        catalogue.add_planner(hosted_planner)
    assert catalogue.max_batch("classify") == 7


def test_no_variable_of_chimera_s_is_named_for_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHIMERA_HOST_VARIABLES", "OPENAI_KEY, CHIMERA_REDIS_URL")
    with pytest.raises(ValueError, match="CHIMERA_REDIS_URL: no host gets a variable"):
        Settings()
