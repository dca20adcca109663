"""What an EXEC asks for beside Python programs: commands and connections, in threads of their own."""

from threading import Thread


def serve(task, tasks, request):
    """Does what `request` asks for, to its end. What cannot be done, or breaks, raises."""
    if request["kind"] == "compiled":
        task.channel.send(__loader__.compiled())
        return
    if request["kind"] == "command":
        from .command import Command as Service
    else:
        from .connect import Connect as Service
    service = Service(task, tasks, request)
    tasks.services[task] = service
    try:
        if tasks.refusing:
            service.kill()  # the worker ends, and did not see this one
        service.run()
    finally:
        tasks.services.pop(task, None)


def spawn(target, args, name):
    thread = Thread(target=target, args=args, daemon=True, name="execnet " + name)
    thread.start()
    return thread


def describe(error):
    """What a fault tells: a system's error needs no traceback."""
    return type(error).__name__, str(error)
