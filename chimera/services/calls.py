"""Calling skills: in the main thread, in threads of their own, or on the event loop; and ending what overruns."""

import asyncio
import ctypes
import inspect
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import copy_context
from typing import Any

import structlog

from chimera.ports.skill_runner import EndingWith
from chimera.services.time_limit import TimeIsUp, alarm

log = structlog.get_logger(__name__)

# A thread that runs Python code hears within this that its time is up; one that waits for something does not.
_ENDS_WITHIN_SECONDS = 0.1
# An event loop that does not answer for 2 s is held up by one of its calls.
_ANSWERS_WITHIN_SECONDS = 2.0
# A loop that was held up and goes on looks this often whether its calls are over, to end.
_LOOKS_AGAIN_SECONDS = 0.1


def never(_end: Callable[[], None]) -> AbstractContextManager[None]:
    """Where nothing but time ends a call."""
    return nullcontext()


class LeftBehind:
    """The threads of this process whose call overran, and that could not be ended."""

    def __init__(self, most: int, recycle: Callable[[], None]) -> None:
        """Begins with none.

        Args:
            most: how many there may be.
            recycle: called once, when there are more: has the process replaced.
        """
        self._most = most
        self._recycle = recycle
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._told = False

    def add(self, thread: threading.Thread) -> None:
        """Notes one more; those that have ended meanwhile are forgotten."""
        with self._lock:
            self._threads = {each for each in self._threads if each.is_alive()} | {thread}
            count = len(self._threads)
            tell = count > self._most and not self._told
            self._told = self._told or tell
        log.warning("call_left_behind", thread=thread.name, left_behind=count)
        if tell:
            log.error("too_many_calls_left_behind", left_behind=count, most=self._most)
            self._recycle()


class Calls:
    """How this operating-system process calls skills. Made after a fork: it has threads."""

    def __init__(self, left_behind: LeftBehind) -> None:
        self._left_behind = left_behind
        self._lock = threading.Lock()
        self._loop: LoopThread | None = None

    def call(self, function: Callable[[], Any], timeout_seconds: float, ending_with: EndingWith = never) -> Any:
        """What a plain function answers, or the coroutine that it returns.

        Raises:
            TimeIsUp: it took too long, or was ended from outside.
            BaseException: whatever the function raises.
        """

        def resolved() -> Any:
            answer = function()
            return self._awaited(answer, timeout_seconds) if inspect.iscoroutine(answer) else answer

        if threading.current_thread() is threading.main_thread():
            with alarm(timeout_seconds) as ring, ending_with(ring):
                return resolved()
        return self._in_thread(resolved, timeout_seconds, ending_with)

    def begin(self, coroutine: Coroutine[Any, Any, Any]) -> "AsyncCall":
        """Starts an async call in the context of who calls this."""
        with self._lock:
            if self._loop is None or self._loop.is_held_up:
                self._loop = LoopThread()
            return AsyncCall(coroutine, self._loop)

    def end(self, call: "AsyncCall") -> None:
        """Ends an async call that took too long, or that nobody wants any more; it may take a while to hear of it."""
        call.cancel()
        if call.loop.is_held_up or call.loop.answers():
            return
        call.loop.ring()
        if not call.loop.answers():
            call.loop.retire()
            self._left_behind.add(call.loop.thread)

    def _awaited(self, coroutine: Coroutine[Any, Any, Any], timeout_seconds: float) -> Any:
        call = self.begin(coroutine)
        over = threading.Event()
        call.when_over(over.set)
        try:
            is_over = over.wait(timeout_seconds)
        except TimeIsUp:
            self.end(call)
            raise
        if not is_over:
            self.end(call)
            raise TimeIsUp
        return call.answer()

    def _in_thread(self, function: Callable[[], Any], timeout_seconds: float, ending_with: EndingWith) -> Any:
        call = ThreadCall(function)
        with ending_with(call.over.set):
            call.over.wait(timeout_seconds)
        if not call.future.done():
            if not call.end():
                self._left_behind.add(call.thread)
            raise TimeIsUp
        return call.future.result()


class ThreadCall:
    """A call in a thread of its own, since nothing else lets the threads pool go on without it.

    A daemon, so that a call which never ends does not keep the process from ending.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self.future: Future[Any] = Future()
        # Set when the call is over, or is to be ended.
        self.over = threading.Event()
        self._function = function
        self._ending = threading.Lock()
        self._returned = False
        # With the context of this thread: it is where the skill asks for its task.
        context = copy_context()
        self.thread = threading.Thread(target=context.run, args=(self._run,), name="chimera-skill", daemon=True)
        self.thread.start()

    def end(self) -> bool:
        """Raises TimeIsUp in it, as a signal does in the main thread; returns whether that has ended it.

        It is heard between two steps of Python code: not in a call of C code that waits or computes.
        """
        with self._ending:
            if not self._returned and self.thread.ident is not None:
                _raise_in(self.thread.ident)
        self.thread.join(_ENDS_WITHIN_SECONDS)
        return not self.thread.is_alive()

    def _run(self) -> None:
        with suppress(TimeIsUp):  # it may come when the call has just returned
            self._call()

    def _call(self) -> None:
        answer, failure = None, None
        try:
            answer = self._function()
        except BaseException as exc:  # noqa: BLE001  it is raised again where the answer is waited for
            failure = exc
        with self._ending:
            self._returned = True
        if failure is None:
            self.future.set_result(answer)
        else:
            self.future.set_exception(failure)
        self.over.set()


class LoopThread:
    """An event loop in a thread of its own: async clients can be kept between tasks."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        # A call holds it up: it gets no more of them.
        self.is_held_up = False
        self._ended = False
        self.thread = threading.Thread(target=self._run, name="chimera-async-skills", daemon=True)
        self.thread.start()

    def answers(self) -> bool:
        """Whether it goes on."""
        answered = threading.Event()
        self.loop.call_soon_threadsafe(answered.set)
        return answered.wait(_ANSWERS_WITHIN_SECONDS)

    def ring(self) -> None:
        """Raises TimeIsUp in what it runs right now."""
        assert self.thread.ident is not None
        _raise_in(self.thread.ident)

    def retire(self) -> None:
        """Ends the thread as soon as no call is left on it."""
        self.is_held_up = True
        self.loop.call_soon_threadsafe(self._end_when_idle)

    def _end_when_idle(self) -> None:
        if asyncio.all_tasks(self.loop):
            self.loop.call_later(_LOOKS_AGAIN_SECONDS, self._end_when_idle)
        else:
            self._ended = True
            self.loop.stop()

    def _run(self) -> None:
        while not self._ended:
            try:
                self.loop.run_forever()
            except TimeIsUp:
                continue  # what was to be ended had just ended
        self.loop.close()


class AsyncCall:
    """A coroutine that runs on an event loop."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], loop: LoopThread) -> None:
        self.loop = loop
        self._future = asyncio.run_coroutine_threadsafe(_kept_in(coroutine), loop.loop)

    def when_over(self, told: Callable[[], None]) -> None:
        """Has `told` called when it is over, in whatever thread; at once where it is."""
        self._future.add_done_callback(lambda _: told())

    def cancel(self) -> None:
        """Asks it to end."""
        self._future.cancel()

    def answer(self) -> Any:
        """What it returned, or raised; for when it is over."""
        answer, left_with = self._future.result()
        if left_with is not None:
            raise left_with
        return answer


async def _kept_in(coroutine: Coroutine[Any, Any, Any]) -> tuple[Any, BaseException | None]:
    """The coroutine's answer, or what would have ended the event loop's thread for all that come later."""
    try:
        return await coroutine, None
    except (SystemExit, KeyboardInterrupt) as exc:
        return None, exc


def _raise_in(ident: int) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(TimeIsUp))
