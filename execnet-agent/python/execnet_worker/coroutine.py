"""Async functions: each is awaited in an event loop of its own, in the thread of its task."""

import asyncio


def run(awaitable, task):
    """What `awaitable` gives.

    An interrupt cancels it, as asyncio itself does from 3.11 on: KeyboardInterrupt in the middle of
    the event loop may lose the step of a coroutine, which is then waited for in vain.
    """
    cancelled = []
    try:
        return _run(_wait(awaitable, task, cancelled))
    except asyncio.CancelledError:
        if cancelled:
            raise KeyboardInterrupt
        raise
    finally:
        task.cancel = None


async def _wait(awaitable, task, cancelled):
    loop = asyncio.get_event_loop()
    main = _current_task()

    def cancel():
        cancelled.append(True)
        main.cancel()

    task.cancel = loop.call_soon_threadsafe, cancel, cancelled
    return await awaitable


def _run_in_36(main):
    """asyncio.run, which Python 3.6 has not."""
    loop = asyncio.new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main)
    finally:
        try:
            left = [each for each in asyncio.Task.all_tasks(loop) if not each.done()]
            for each in left:
                each.cancel()
            loop.run_until_complete(asyncio.gather(*left, loop=loop, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


_run = getattr(asyncio, "run", _run_in_36)
_current_task = getattr(asyncio, "current_task", None) or asyncio.Task.current_task
