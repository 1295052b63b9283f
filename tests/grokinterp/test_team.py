import threading

import pytest
import torch

from grokinterp.team import Team, use_threads


@pytest.mark.parametrize("size", [1, 2, 3])
def test_every_worker_runs_once(size: int) -> None:
    seen: list[int] = []
    lock = threading.Lock()

    def note(worker: int) -> None:
        with lock:
            seen.append(worker)

    with Team(size) as team:
        team.each(note)
    assert sorted(seen) == list(range(size))


def test_workers_are_single_threaded_inside_and_nothing_changes_outside() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        counts: list[int] = []
        with Team(2) as team:
            team.each(lambda worker: counts.append(torch.get_num_threads()))
        assert counts == [1, 1]
        assert torch.get_num_threads() == 2
        later: list[int] = []
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert later == [2]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_in_any_worker_reaches_the_caller_after_all_have_stopped(failing: int) -> None:
    finished = threading.Event()

    def work(worker: int) -> None:
        if worker == failing:
            raise ZeroDivisionError
        finished.set()

    with Team(2) as team, pytest.raises(ZeroDivisionError):
        team.each(work)
    assert finished.is_set()


def test_overlapping_teams_leave_the_threads_of_others_alone() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        seen: list[int] = []
        first, second = Team(2), Team(2)
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        second.each(lambda worker: seen.append(torch.get_num_threads()))
        second.__exit__(None, None, None)
        assert seen == [2, 1, 1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_thread_can_be_limited_without_changing_others() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        seen: dict[str, int] = {}

        def limited() -> None:
            use_threads(1)
            seen["limited"] = torch.get_num_threads()

        def later() -> None:
            seen["later"] = torch.get_num_threads()

        for target in (limited, later):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
        assert seen == {"limited": 1, "later": 2}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_threads_that_cannot_all_start_are_refused_and_none_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, start = threading.active_count(), threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if threading.active_count() > before + 2:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(ValueError, match="threads=9 is more than this machine can start"):
        Team(9).__enter__()
    assert threading.active_count() == before
