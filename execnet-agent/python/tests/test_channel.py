"""The rules of channels, on a connection in this process with a scripted controller."""

import builtins
import gc
import unittest
from unittest import mock

from execnet_worker import cbor
from execnet_worker.channel import EndOfChannel, RemoteError, TimeoutError
from execnet_worker.execute import Tasks
from execnet_worker.frame import CBOR, CLOSE, DATA, EOF, MORE, OPEN, PING, PONG, fault, frame
from execnet_worker.stream import Stream

from .link import LocalWorker, in_thread


class Receiving(unittest.TestCase):
    def test_items_then_the_end_for_ever(self):
        with LocalWorker() as far:
            number, channel = far.open()
            far.message(number, [1])
            far.write(frame(DATA, number, b"raw"), frame(DATA, number), frame(EOF, number))
            self.assertEqual([channel.receive() for _ in range(3)], [[1], b"raw", b""])
            for _ in range(3):
                with self.assertRaises(EOFError) as caught:
                    channel.receive()
                self.assertIs(caught.exception.channel, channel)
            channel.waitclose()
            self.assertFalse(channel.isclosed())
            channel.send("the other direction goes on")
            self.assertEqual(far.item(number), "the other direction goes on")

    def test_items_then_the_error_for_ever(self):
        with LocalWorker() as far:
            number, channel = far.open()
            far.message(number, 1)
            far.write(frame(CLOSE, number, fault("ValueError", "bad", "the traceback")))
            self.assertEqual(channel.receive(), 1)
            for call in channel.receive, channel.waitclose, channel.receive, channel.__next__:
                with self.assertRaises(channel.RemoteError) as caught:
                    call()
                error = caught.exception
                self.assertEqual((error.type, error.message, error.traceback, str(error)),
                                 ("ValueError", "bad", "the traceback", "the traceback"))
                self.assertEqual(error.formatted, "the traceback")
            self.assertTrue(channel.isclosed())
            self.assertEqual(far.expect(CLOSE, number), b"")

    def test_iteration(self):
        with LocalWorker() as far:
            number, channel = far.open()
            for item in range(5):
                far.message(number, item)
            far.write(frame(EOF, number))
            self.assertEqual(list(channel), list(range(5)))

    def test_timeout(self):
        with LocalWorker() as far:
            number, channel = far.open()
            for timeout in 0, 0.01:
                with self.assertRaises(channel.TimeoutError) as caught:
                    channel.receive(timeout)
                self.assertIsInstance(caught.exception, OSError)
                self.assertIsInstance(caught.exception, builtins.TimeoutError)
                self.assertRaises(TimeoutError, channel.waitclose, timeout)
            self.assertRaises(ValueError, channel.receive, -1)
            far.message(number, 1)
            self.assertEqual(channel.receive(60), 1)

    def test_all_who_wait_see_the_end(self):
        with LocalWorker() as far:
            number, channel = far.open()
            threads = [in_thread(channel.receive) for _ in range(5)]
            threads += [in_thread(channel.waitclose)]
            far.write(frame(EOF, number))
            for thread in threads[:-1]:
                self.assertIsInstance(thread.get(), EndOfChannel)
            self.assertIsNone(threads[-1].get())

    def test_a_reader_that_was_late_still_times_out(self):
        class Emptied:
            """An inbox whose only item another reader takes right after it was seen."""

            def __init__(self, inbox):
                self.qsize = lambda: 1
                self.get = inbox.get
                self.put = inbox.put

        with LocalWorker() as far:
            number, channel = far.open()
            channel._stream.inbox = Emptied(channel._stream.inbox)
            self.assertIsInstance(in_thread(channel.receive, 0.01).get(), TimeoutError)

    def test_the_end_is_seen_though_an_interrupt_took_it_away(self):
        with LocalWorker() as far:
            number, channel = far.open()
            far.write(frame(EOF, number))
            channel.waitclose()
            channel._stream.inbox.get()  # as a reader does that is interrupted right behind it
            self.assertRaises(EOFError, channel.receive)
            self.assertRaises(EOFError, channel.receive)

    def test_one_message_for_each_who_waits(self):
        with LocalWorker() as far:
            number, channel = far.open()
            threads = [in_thread(channel.receive) for _ in range(5)]
            for item in range(5):
                far.message(number, item)
            self.assertEqual(sorted(thread.get() for thread in threads), list(range(5)))

    def test_the_link_ends(self):
        with LocalWorker() as far:
            number, channel = far.open()
            far.message(number, 1)
            far.hang_up()
            self.assertEqual(channel.receive(), 1)
            for call in channel.receive, channel.waitclose, channel.__next__:
                with self.assertRaisesRegex(OSError, "controller is gone"):
                    call()
            self.assertTrue(channel.isclosed())
            with self.assertRaisesRegex(OSError, "cannot send: the controller is gone"):
                channel.send(1)

    def test_the_loss_of_the_link_is_never_taken_for_the_end_of_the_input(self):
        class Orphaned(Tasks):
            def lost(self, failure=None):
                super().lost(failure)
                # Whoever waits is not told yet: he is to be told why.
                self.told = [stream.ended or stream.inbox.qsize()
                             for stream in self.connection.channels.values()]

            def _watch(self):
                pass  # it would end this process

        with LocalWorker() as far:
            tasks = far.connection.tasks = Orphaned("thread")
            tasks.connection = far.connection
            received = in_thread(far.open()[1].receive)
            far.hang_up()
            self.assertRegex(str(received.get()), "^the controller is gone$")
            self.assertEqual(tasks.told, [0])
            self.assertTrue(tasks.orphaned)

    def test_what_ended_well_stays_so_when_the_link_ends(self):
        with LocalWorker() as far:
            clean, failed, here, last = [far.open() for _ in range(4)]
            far.write(frame(CLOSE, clean[0]), frame(CLOSE, failed[0], fault("Error", "bad")))
            here[1].close()
            far.sync()
            far.write(frame(CLOSE, here[0]))
            far.sync()
            far.hang_up()
            with self.assertRaisesRegex(OSError, "controller is gone"):
                last[1].waitclose(60)
            for _, channel in clean, here:
                channel.waitclose(60)
                self.assertRaises(EOFError, channel.receive)
            self.assertRaises(RemoteError, failed[1].waitclose, 60)

    def test_bad_bytes_harm_nobody_else(self):
        with LocalWorker() as far:
            number, channel = far.open()
            far.write(frame(DATA | CBOR, number, b"\xff"), frame(DATA | CBOR, number, b"\x01"))
            self.assertRaises(ValueError, channel.receive)
            self.assertEqual(channel.receive(), 1)


class Sending(unittest.TestCase):
    def test_formats(self):
        with LocalWorker() as far:
            number, channel = far.open()
            for item in b"bytes", bytearray(b"array"), memoryview(b"view"):
                channel.send(item)
                self.assertEqual(far.expect(DATA, number), bytes(item))
            channel.send("text")
            self.assertEqual(far.expect(DATA | CBOR, number), cbor.dumps("text"))

    def test_a_bad_value_costs_nothing(self):
        with LocalWorker() as far:
            number, channel = far.open()
            with self.assertRaisesRegex(TypeError, r"channel.send: item\[1\] is builtin_function"):
                channel.send([1, len])
            with self.assertRaisesRegex(ValueError, "lone surrogate"):
                channel.send("\ud800")
            channel.send(1)
            self.assertEqual(far.frame(), (DATA | CBOR, number, b"\x01"))

    def test_too_long_for_the_controller(self):
        with LocalWorker() as far:
            number, channel = far.open()
            with self.assertRaisesRegex(ValueError, "at most 1048576"):
                channel.send(bytes(1048577))

    def test_threads_do_not_mix_their_messages(self):
        with LocalWorker(connection_window=1 << 26, channel_window=1 << 26) as far:
            number, channel = far.open()
            threads = [in_thread(lambda n: [channel.send(bytes([n]) * 40000) for _ in range(20)], n)
                       for n in range(4)]
            for _ in range(80):
                whole = b""
                while True:
                    kind, found, payload = far.frame()
                    whole += payload
                    if not kind & MORE:
                        break
                self.assertEqual((len(whole), len(set(whole))), (40000, 1))
            for thread in threads:
                self.assertIsInstance(thread.get(), list)

    def test_a_closed_channel_frees_those_who_wait(self):
        with LocalWorker(max_frame=1 << 20) as far:
            number, channel = far.open()
            sender = in_thread(lambda: [channel.send(bytes(32760)) for _ in range(8)])
            far.expect(DATA, number)
            far.expect(DATA, number)
            far.write(frame(CLOSE, number))
            with self.assertRaisesRegex(OSError, "closed by the controller"):
                raise sender.get()
            self.assertEqual(far.expect(CLOSE, number), b"")
            self.assertEqual(far.sync(), [])
            self.assertEqual(far.connection.channels, {})

    def test_the_lost_link_frees_those_who_wait(self):
        with LocalWorker(max_frame=1 << 20) as far:
            number, channel = far.open()
            sender = in_thread(lambda: [channel.send(bytes(32760)) for _ in range(8)])
            far.expect(DATA, number)
            far.hang_up()
            with self.assertRaisesRegex(OSError, "cannot send"):
                raise sender.get()


class Closing(unittest.TestCase):
    def test_close(self):
        with LocalWorker() as far:
            number, channel = far.open()
            far.message(number, "before")
            far.sync()
            channel.send(1)
            channel.close()
            channel.close()
            self.assertTrue(channel.isclosed())
            self.assertEqual(far.item(number), 1)
            self.assertEqual(far.expect(CLOSE, number), b"")
            far.message(number, "discarded")
            far.sync()
            self.assertEqual(list(channel), ["before"])
            for call in (lambda: channel.send(1)), (lambda: channel.send(b"")):
                with self.assertRaisesRegex(OSError, "cannot send: channel 1 is closed"):
                    call()
            channel.waitclose()
            far.write(frame(CLOSE, number, fault("Late", "after our own CLOSE")))
            self.assertEqual(far.sync(), [])
            self.assertRaises(EOFError, channel.receive)
            self.assertEqual(far.connection.channels, {})

    def test_close_with_an_error(self):
        with LocalWorker() as far:
            number, channel = far.open()
            self.assertRaises(TypeError, channel.close, 42)
            self.assertRaises(TypeError, channel.close, RemoteError("T", "m"))
            channel.close("went wrong")
            self.assertEqual(cbor.loads(far.expect(CLOSE, number)),
                             {"type": "RemoteError", "message": "went wrong"})

    def test_the_error_comes_before_another_thread_can_close_without_it(self):
        push = Stream.push
        found = []

        def look_and_push(stream, kind, payload=b""):
            if payload:  # as a thread does that waits on the channel, and closes it at its end
                try:
                    channel.receive(0)
                except (TimeoutError, EndOfChannel) as error:
                    found.append(type(error))
            push(stream, kind, payload)

        with LocalWorker() as far, mock.patch.object(Stream, "push", look_and_push):
            number, channel = far.open()
            channel.close("went wrong")
            self.assertEqual(found, [TimeoutError])
            self.assertRaises(EndOfChannel, channel.receive, 0)

    def test_finish_sending(self):
        with LocalWorker() as far:
            number, channel = far.open()
            channel.send(1)
            channel.finish_sending()
            channel.finish_sending()
            self.assertEqual(far.item(number), 1)
            self.assertEqual(far.expect(EOF, number), b"")
            with self.assertRaisesRegex(OSError, "finished sending"):
                channel.send(2)
            far.message(number, 3)
            self.assertEqual(channel.receive(), 3)
            channel.close()
            self.assertEqual([found[0] for found in far.sync()], [CLOSE])

    def test_a_long_error_is_cut_in_the_middle(self):
        with LocalWorker() as far:
            number, channel = far.open()
            channel.close("first" + "\u2603" * 50000 + "last")
            payload = far.expect(CLOSE, number)
            self.assertLessEqual(len(payload), 16384)
            message = cbor.loads(payload)["message"]
            self.assertTrue(message.startswith("first") and message.endswith("last"))
            self.assertIn("characters cut", message)

    def test_dropping_a_channel_closes_it(self):
        with LocalWorker() as far:
            number, channel = far.open()
            del channel
            gc.collect()
            self.assertEqual(far.expect(CLOSE, number), b"")
            far.message(number, "discarded")
            far.write(frame(CLOSE, number))
            far.sync()
            self.assertEqual(far.connection.channels, {})

    def test_unseen_channels_keep_their_messages(self):
        with LocalWorker() as far:
            number = far.next_number()
            far.write(frame(OPEN, number))
            far.message(number, "hello")
            far.write(frame(CLOSE, number))
            self.assertEqual(far.sync(), [])
            channel = far.connection.channel(number)
            self.assertEqual(far.expect(CLOSE, number), b"")
            self.assertEqual(list(channel), ["hello"])

    def test_unseen_channels_without_messages_vanish(self):
        with LocalWorker() as far:
            for _ in range(1000):
                number = far.next_number()
                far.write(frame(OPEN, number), frame(CLOSE, number))
            for number in range(1, number + 2, 2):
                self.assertEqual(far.expect(CLOSE, number), b"")
            far.sync()
            self.assertEqual(far.connection.channels, {})
            channel = far.connection.channel(number)
            self.assertEqual(list(channel), [])
            with self.assertRaisesRegex(OSError, "cannot send"):
                channel.send(1)


class Passing(unittest.TestCase):
    def test_channels_in_values(self):
        with LocalWorker() as far:
            number, channel = far.open()
            other = far.next_number()
            far.write(frame(OPEN, other))
            far.write(frame(DATA | CBOR, number, bytes.fromhex("82d9b02f%02xd9b02f%02x" % (other, number))))
            passed, same = channel.receive()
            self.assertIs(same, channel)
            self.assertEqual(passed.id, other)
            passed.send({"back": passed})
            self.assertEqual(far.item(other)["back"].number, other)
            self.assertIs(far.connection.channel(other), passed)

    def test_back_and_forth_in_any_structure_and_as_keys(self):
        with LocalWorker() as far:
            number, channel = far.open()
            mine = channel.gateway.newchannel()
            far.expect(OPEN, 2)
            for _ in range(3):
                channel.send({mine: [(mine, {"k": {mine}})], (1, mine): frozenset([mine])})
                (key, value), (pair, members) = far.item(number).items()
                self.assertEqual([key.number, value[0][0].number, pair[1].number,
                                  {member.number for member in members}], [2, 2, 2, {2}])
                far.message(number, {key: [(key, {"k": {key}})], (1, key): frozenset([key])})
                self.assertEqual(channel.receive(),
                                 {mine: [(mine, {"k": {mine}})], (1, mine): frozenset([mine])})
            self.assertEqual(far.connection.channels.keys(), {number, 2})

    def test_channels_that_were_never_opened(self):
        with LocalWorker() as far:
            number, channel = far.open()
            for other in 3, 2, 99:
                far.write(frame(DATA | CBOR, number, bytes.fromhex("d9b02f18%02x" % other)))
                with self.assertRaisesRegex(ValueError, "channel %d was never opened" % other):
                    channel.receive()

    def test_newchannel(self):
        with LocalWorker() as far:
            number, channel = far.open()
            self.assertEqual(channel.gateway.id, "gw")
            mine = channel.gateway.newchannel()
            self.assertEqual(mine.id, 2)
            self.assertEqual(far.expect(OPEN, 2), b"")
            channel.send([mine])
            self.assertEqual(far.item(number)[0].number, 2)
            far.message(2, "hello")
            self.assertEqual(mine.receive(), "hello")
            mine.close()
            far.expect(CLOSE, 2)
            far.write(frame(CLOSE, 2))
            with self.assertRaisesRegex(ValueError, "closed> does not cross"):
                channel.send(mine)
            self.assertEqual(channel.gateway.newchannel().id, 4)

    def test_more_channels_than_the_controller_takes(self):
        with LocalWorker() as far:
            number, channel = far.open()
            channels = [channel.gateway.newchannel() for _ in range(256)]
            with self.assertRaisesRegex(OSError, "no more than 256 channels"):
                channel.gateway.newchannel()
            channels.pop().close()
            far.write(frame(CLOSE, 512))
            far.sync()
            self.assertEqual(channel.gateway.newchannel().id, 514)


class Answers(unittest.TestCase):
    def test_ping_comes_ahead_of_queued_messages(self):
        with LocalWorker() as far:
            number, channel = far.open()
            channel.send(bytes(60000))
            channel.send(bytes(60000))
            far.sync()
            far.write(frame(PING, 0, b"12345678"))
            self.assertEqual(far.expect(PONG, 0), b"12345678")

    def test_status(self):
        with LocalWorker() as far:
            number, channel = far.open()
            other, second = far.open()
            second.send(bytes(16368))
            second.send(bytes(60000))
            far.sync()
            self.assertEqual(far.status(), {"channels": 2, "waiting_for_credit": [other]})

    def test_repr(self):
        with LocalWorker() as far:
            number, channel = far.open()
            self.assertEqual(repr(channel), "<Channel 1 open>")
            channel.finish_sending()
            self.assertEqual(repr(channel), "<Channel 1 open, finished sending>")
            channel.close()
            self.assertEqual(repr(channel), "<Channel 1 closed>")


if __name__ == "__main__":
    unittest.main()
