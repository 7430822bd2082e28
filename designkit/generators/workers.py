"""Running jobs side by side in threads, handing out their results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_side_by_side(
    work: Callable[[Job], Result], jobs: Iterable[Job], *, num_workers: int, stop: Callable[[], None]
) -> Generator[Result]:
    """Yield `work(job)` for every job, in the order of the jobs; raises what `work` raises.

    At most one job a worker waits while results are not fetched. One worker means no threads at all. When the
    caller ends the iteration early, waiting jobs are dropped, `stop` is called, and running jobs are waited for.
    """
    if num_workers == 1:
        yield from map(work, jobs)
        return
    remaining = iter(jobs)
    running: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(num_workers, thread_name_prefix="draw") as pool:
        try:
            running.extend(pool.submit(work, job) for job in islice(remaining, 2 * num_workers))
            while running:
                result = running.popleft().result()
                running.extend(pool.submit(work, job) for job in islice(remaining, 1))
                yield result
        finally:
            for future in running:
                future.cancel()
            if running:
                stop()
