"""What threads do in place of the reader and the writer, and whatever interrupts them there."""

import os
import socket
import unittest
from time import sleep

from execnet_worker import cbor, lease, simplequeue, turn
from execnet_worker.channel import EndOfChannel, TimeoutError
from execnet_worker.deadline import Deadline
from execnet_worker.frame import CBOR, CLOSE, CREDIT, DATA, EOF, LIMITS, PING, PONG, frame
from execnet_worker.stream import SimpleQueue

from .link import INTERRUPTS_THREADS, PATIENCE, LocalWorker, Worker, credit, in_thread, until


def lend(far, number, channel, call=None):
    """Has a thread receive one message, so that the reader stands back, then call something."""
    lease = far.connection.lease
    while not lease.lent:
        received = in_thread(channel.receive)
        until(lambda: lease.blocked)
        far.message(number, "first")
        received.get()
        sleep(0.001)
    thread = in_thread(call or channel.receive)
    until(lambda: lease.blocked or not thread.is_alive())
    return thread


@unittest.skipUnless(turn.ONE_CALL, "leaves reading and writing to the two threads")
class Reading(unittest.TestCase):
    def setUp(self):
        self.far = LocalWorker()
        self.number, self.channel = self.far.open()
        self.lease = self.far.connection.lease
        self.addCleanup(self.far.hang_up)
        self.assertTrue(self.lease._prepare())
        poll, self.polls = self.lease.poll, []

        def note_and_poll(timeout):
            self.polls.append(timeout)
            return poll(timeout)

        self.lease.poll = note_and_poll

    def lead(self, *call):
        """A thread that waits for a message, and reads the link itself."""
        for _ in range(1000):
            del self.polls[:]
            thread = lend(self.far, self.number, self.channel, *call)
            # Whoever has the ticket polls, or is the reader.
            until(lambda: self.polls or self.lease.ticket or not self.lease.lent)
            if self.polls:
                return thread
            self.far.message(self.number, "once more")
            if thread.get() != "once more":
                self.channel.receive()  # it came too late for that one
        self.fail("no thread got to read")

    def test_a_message(self):
        thread = self.lead()
        self.far.message(self.number, {"a": 1})
        self.assertEqual(thread.get(), {"a": 1})
        self.assertGreaterEqual(self.lease.uses, 1)

    def test_everything_else_is_left_to_the_reader(self):
        thread = self.lead()
        self.far.write(frame(PING, 0, b"question"))
        self.assertEqual(self.far.frame(), (PONG, 0, b"question"))
        self.assertTrue(thread.is_alive())
        self.far.message(self.number, 1)
        self.assertEqual(thread.get(), 1)

    def test_several_messages_and_parts_of_one(self):
        thread = self.lead()
        one = frame(DATA, self.number, b"one")
        self.far.write(one + one[:5])
        self.assertEqual(thread.get(), b"one")
        thread = in_thread(self.channel.receive)
        self.far.write(one[5:], frame(EOF, self.number))
        self.assertEqual(thread.get(), b"one")
        self.assertRaises(EOFError, self.channel.receive)

    def test_half_a_frame(self):
        thread = self.lead()
        self.far.write(frame(DATA, self.number, b"half")[:9])
        until(lambda: not self.lease.lent)
        self.far.write(b"alf")
        self.assertEqual(thread.get(), b"half")

    def test_the_end_of_the_link(self):
        thread = self.lead()
        self.far.hang_up()
        self.assertIsInstance(thread.get(), OSError)

    def test_a_timeout(self):
        thread = self.lead(lambda: self.channel.receive(0.05))
        self.assertIsInstance(thread.get(), TimeoutError)
        self.far.message(self.number, 1)
        self.assertEqual(self.channel.receive(), 1)

    def test_another_thread_closes_the_channel(self):
        thread = self.lead()
        self.channel.close()
        self.assertIsInstance(thread.get(), EndOfChannel)
        self.assertEqual(self.far.expect(CLOSE, self.number), b"")

    def test_another_thread_waits_for_another_channel(self):
        number, channel = self.far.open()
        thread = self.lead()
        second = in_thread(channel.receive)
        until(lambda: len(self.lease.blocked) == 2)
        self.far.message(number, 2)
        self.assertEqual(second.get(), 2)
        self.far.message(self.number, 1)
        self.assertEqual(thread.get(), 1)

    def test_the_reader_reads_on_while_the_thread_is_busy(self):
        lend(self.far, self.number, self.channel, lambda: None).get()
        self.far.write(frame(PING, 0, b"question"))
        self.assertEqual(self.far.frame(), (PONG, 0, b"question"))

    def test_credit_comes_back(self):
        thread = self.lead()
        item = bytes(1000)
        left = LIMITS["channel_window"]
        for _ in range(1000):
            while left < len(item) + 8:
                left += int.from_bytes(self.far.expect(CREDIT, self.number), "big")
            self.far.write(frame(DATA, self.number, item))
            left -= len(item) + 8
            self.assertEqual(thread.get(), item)
            thread.get = self.channel.receive
        self.assertGreater(self.lease.uses, 0)

    def test_a_ticket_that_got_lost_is_found(self):
        lend(self.far, self.number, self.channel, lambda: None).get()
        try:
            self.lease.ticket.pop()  # as one does who is interrupted right behind it, twice
        except IndexError:
            pass  # the reader was faster
        self.far.write(frame(PING, 0, b"question"))
        self.assertEqual(self.far.frame(), (PONG, 0, b"question"))

    def test_a_ticket_that_moved_during_the_search_is_not_lost(self):
        class Taken(list):
            """Whenever the reader looks, somebody has the ticket."""

            def append(self, entry):
                pass

        with open(os.dup(self.far.connection.source.fileno()), "rb") as source:
            mine = lease.Lease(source, {})
            mine.ticket = Taken()
            looks, third = [], SimpleQueue()

            def runs_anywhere(*functions):
                looks.append(functions)
                if len(looks) == 3:
                    third.put(None)
                    return True
                mine.moves += 1  # it was given back, and taken again
                mine.back.put(None)
                return False

            found, lease.runs_anywhere = lease.runs_anywhere, runs_anywhere
            try:
                reader = in_thread(mine.lend, lambda: None)
                third.get(True, PATIENCE)
            finally:
                lease.runs_anywhere = found
            self.assertTrue(reader.is_alive())
            mine.back.put(True)
            self.assertIsNone(reader.get())
            mine.abandon()


@unittest.skipUnless(turn.ONE_CALL, "leaves reading and writing to the two threads")
class Writing(unittest.TestCase):
    def setUp(self):
        self.far = LocalWorker()
        self.number, self.channel = self.far.open()
        self.turns = self.far.connection.turns
        self.addCleanup(self.far.hang_up)

    def interrupted(self, ticket, data=b"", steps=()):
        """A turn whose sender was interrupted at some point."""
        left = turn.Turn(ticket)
        left.data = data
        left.steps.extend(steps)
        # The writer may have a turn, and take one more for a bell that rang late.
        while not self.turns.newest().over or self.turns.newest().next.setdefault(0, left) is not left:
            sleep(0.001)
        return left

    def then_messages_come(self):
        self.channel.send(b"then")
        self.assertEqual(self.far.expect(DATA, self.number), b"then")

    def test_a_lone_message_without_the_writer(self):
        for _ in range(1000):  # until the writer has heard all bells of the start
            until(lambda: self.turns.newest().over)
            before = self.turns.newest()
            self.channel.send(1)
            self.assertEqual(self.far.item(self.number), 1)
            if before.next[0].steps:
                break
            sleep(0.001)
        self.assertEqual(before.next[0].steps[3:], [9])

    def test_onto_a_link_that_nobody_reads_any_more(self):
        until(lambda: self.turns.newest().over)
        self.far.socket.shutdown(socket.SHUT_RD)
        self.channel.send(1)  # which found no other way to tell
        until(lambda: self.far.connection.lost)
        with self.assertRaisesRegex(OSError, "the controller is gone"):
            self.channel.send(2)
        self.assertFalse(self.far.connection.await_written(Deadline(PATIENCE)))

    def test_interrupted_before_it_was_written(self):
        left = self.interrupted([None], frame(DATA, self.number, b"never"))
        self.then_messages_come()
        self.assertEqual(left.ticket, [])

    def test_interrupted_while_it_was_written(self):
        self.interrupted([], frame(DATA, self.number, b"whole"), [None, None, None, 0])
        self.channel.send(b"then")
        self.assertEqual(self.far.expect(DATA, self.number), b"whole")
        self.assertEqual(self.far.expect(DATA, self.number), b"then")

    def test_interrupted_in_the_middle(self):
        data = frame(DATA, self.number, b"whole")
        os.write(self.far.connection.out, data[:10])
        self.interrupted([], data, [None, None, None, 10])
        self.channel.send(b"then")
        self.assertEqual(self.far.expect(DATA, self.number), b"whole")
        self.assertEqual(self.far.expect(DATA, self.number), b"then")

    def test_interrupted_behind_it(self):
        data = frame(DATA, self.number, b"whole")
        os.write(self.far.connection.out, data)
        self.interrupted([], data, [None, None, None, len(data)])
        self.assertEqual(self.far.expect(DATA, self.number), b"whole")
        self.then_messages_come()

    def test_interrupted_twice(self):
        self.interrupted([], frame(DATA, self.number, b"whole"), [None, None, None])
        self.channel.send(b"then")
        self.assertEqual(self.far.expect(DATA, self.number), b"whole")
        self.assertEqual(self.far.expect(DATA, self.number), b"then")

    def test_a_sender_whose_turn_the_writer_took_away_queues(self):
        pop, turn._pop = turn._pop, lambda ticket: [].pop()
        try:
            self.channel.send(b"queued")
        finally:
            turn._pop = pop
        self.assertEqual(self.far.expect(DATA, self.number), b"queued")
        self.then_messages_come()

    def test_without_credit_it_waits(self):
        with LocalWorker(max_frame=1 << 20) as far:  # and 65536 for each channel
            number, channel = far.open()
            for _ in range(20):
                sender = in_thread(channel.send, bytes(4000))  # each a lone one
                sender.get()
                sleep(0.001)
            for _ in range(16):
                far.expect(DATA, number)
            self.assertEqual(far.sync(), [])
            far.write(credit(number, 65536))
            for _ in range(4):
                far.expect(DATA, number)

    def test_what_stands_in_the_queue_goes_first(self):
        number, other = self.far.open()
        until(lambda: self.turns.newest().over)
        here, go_on = SimpleQueue(), SimpleQueue()
        take = self.turns.take

        def late(write):
            here.put(None)
            go_on.get()
            return take(write)

        self.turns.take = late
        self.channel._stream.push(DATA, b"first")
        here.get()  # the writer knows of it, and does not have its turn yet
        other.send(b"second")
        self.turns.take = take
        go_on.put(None)
        self.assertEqual(self.far.frame()[1:], (self.number, b"first"))
        self.assertEqual(self.far.frame()[1:], (number, b"second"))

    def test_threads_at_once(self):
        channels = dict(self.far.open() for _ in range(8))
        rounds = 300

        def echo(channel):
            for n in range(rounds):
                channel.send([n, "x" * (n % 50)])
                assert channel.receive() == n

        threads = [in_thread(echo, channel) for channel in channels.values()]
        seen = dict.fromkeys(channels, 0)
        for _ in range(8 * rounds):
            kind, number, payload = self.far.frame()
            self.assertEqual(kind, DATA | CBOR)
            self.assertEqual(cbor.loads(payload)[0], seen[number])
            self.far.message(number, seen[number])
            seen[number] += 1
        for thread in threads:
            self.assertIsNone(thread.get())


class Ringing(unittest.TestCase):
    """Who hands something to another thread is interrupted before it has woken that one."""

    def test_the_next_message_wakes_the_writer(self):
        with LocalWorker() as far:
            number, channel = far.open()
            stream = channel._stream
            until(lambda: far.connection.turns.newest().over)
            stream.outbox.append((DATA, b"interrupted"))
            far.connection.queue.append(stream)
            channel.send(b"next")
            self.assertEqual(far.expect(DATA, number), b"interrupted")
            self.assertEqual(far.expect(DATA, number), b"next")

    def test_who_finds_something_in_a_queue_wakes_whoever_waits(self):
        queue = simplequeue.SimpleQueue()
        waiting = in_thread(queue.get)
        until(queue._wake.locked)
        queue._items.append("interrupted")
        self.assertTrue(queue.qsize() or not waiting.is_alive())
        self.assertEqual(waiting.get(), "interrupted")


class Storms(unittest.TestCase):
    """Exceptions that come at any bytecode, hundreds of them each second."""

    WINDOWS = {"channel_window": 1 << 30, "connection_window": 1 << 30}
    SIGNALS = """
        import random, signal

        class Tick(Exception):
            pass

        def tick(signum, frame):
            raise Tick

        signal.signal(signal.SIGALRM, tick)
        ticks = sent = 0
        while ticks < 500:
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.001))
                while True:
                    sent += 1
                    channel.send(sent)
                    while channel.receive() != sent:
                        pass  # the answer to one that was interrupted
            except Tick:
                ticks += 1
        channel.send("done")
    """

    def answer(self, worker, number):
        """Answers each item, whose numbers grow, until "done"."""
        last = 0
        while True:
            item = worker.item(number)
            if item == "done":
                return last
            self.assertGreater(item, last)
            last = item
            worker.message(number, item)

    def test_of_signals(self):
        with Worker(**self.WINDOWS) as worker:
            number = worker.exec(self.SIGNALS)
            self.answer(worker, number)
            self.assertEqual(worker.close(number), ([], None))
            self.assertEqual(worker.run("channel.send(channel.receive())", 1), ([1], None))
            worker.terminate()
            self.assertIsNone(worker.end())

    def test_of_interrupts(self):
        source = """
            sent = 0
            while True:
                sent += 1
                channel.send(sent)
                while channel.receive() != sent:
                    pass
        """
        for beside in range(1 + INTERRUPTS_THREADS):
            with self.subTest(thread=beside), Worker(**self.WINDOWS) as worker:
                if beside:
                    first = worker.exec("channel.receive()")
                for round in range(200):
                    number = worker.exec(source)
                    last = 0
                    for kind, found, payload in worker.frames():
                        self.assertEqual(found, number)
                        if kind == CLOSE:
                            break
                        item = cbor.loads(payload)
                        self.assertEqual(item, last + 1)
                        last = item
                        worker.message(number, item)
                        if item == round % 7 + 1:
                            worker.interrupt(number)
                    self.assertEqual(cbor.loads(payload)["type"], "KeyboardInterrupt")
                    worker.write(frame(CLOSE, number))
                if beside:
                    worker.message(first, 0)
                    self.assertEqual(worker.close(first), ([], None))
                self.assertEqual(worker.run("channel.send(channel.receive())", 1), ([1], None))
                worker.terminate()
                self.assertIsNone(worker.end())


if __name__ == "__main__":
    unittest.main()
