"""The rules of channels, on a connection in this process with a scripted controller."""

import builtins
import contextlib
import gc
import io
import threading
import unittest

from execnet_worker import cbor
from execnet_worker.channel import EndOfChannel, RemoteError, TimeoutError
from execnet_worker.frame import (CBOR, CLOSE, CREDIT, DATA, EOF, LIMITS, MORE, OPEN, PING, PONG,
                                  fault, frame)

from .link import LocalWorker

WINDOW = LIMITS["channel_window"]


def credit(number, amount):
    return frame(CREDIT, number, amount.to_bytes(4, "big"))


def in_thread(function, *args):
    """Runs a function beside the test. Its result, or its exception, comes from `join()`."""
    def run():
        try:
            thread.result = function(*args)
        except Exception as error:
            thread.result = error

    def join():
        thread.join(60)
        assert not thread.is_alive()
        return thread.result

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.get = join
    return thread


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

    def test_waits_for_the_channels_credit(self):
        with LocalWorker(max_frame=1 << 20) as far:  # and 65536 for each channel
            number, channel = far.open()
            item = bytes(32760)
            sender = in_thread(lambda: [channel.send(item) for _ in range(8)])
            for _ in range(2):
                far.expect(DATA, number)
            self.assertEqual(far.sync(), [])
            self.assertTrue(sender.is_alive())
            far.write(credit(number, 32767))
            self.assertEqual(far.sync(), [])
            far.write(credit(number, 1))
            far.expect(DATA, number)
            self.assertEqual(far.sync(), [])
            far.write(credit(number, 1 << 20))
            for _ in range(5):
                far.expect(DATA, number)
            self.assertIsInstance(sender.get(), list)

    def test_waits_for_the_connections_credit(self):
        with LocalWorker(max_frame=1 << 20) as far:  # 262144, as much as 4 channels
            channels = dict(far.open() for _ in range(5))
            senders = [in_thread(lambda channel: [channel.send(bytes(32760)) for _ in range(2)], each)
                       for each in channels.values()]
            seen = []
            while len(seen) < 8:
                seen.append(far.frame()[1])
            self.assertEqual(far.sync(), [])
            far.write(credit(0, 1 << 20))
            while len(seen) < 10:
                seen.append(far.frame()[1])
            self.assertEqual(sorted(seen), sorted(list(channels) * 2))
            for sender in senders:
                self.assertEqual(sender.get(), [None, None])

    def test_with_little_credit_on_the_connection_fragments_are_short(self):
        with LocalWorker(channel_window=1 << 20) as far:
            number, channel = far.open()
            channel.send(bytes(300000))
            sizes = [len(far.expect(DATA | MORE, number)) for _ in range(16)]
            self.assertEqual(sizes, [16384] * 15 + [262144 - 15 * 16392 - 8])
            far.write(credit(0, 500))
            self.assertEqual(far.sync(), [])  # too little to be worth a frame
            far.write(credit(0, 1000))
            self.assertEqual(len(far.expect(DATA | MORE, number)), 1492)

    def test_fragments(self):
        with LocalWorker(connection_window=1 << 24, channel_window=1 << 24) as far:
            number, channel = far.open()
            data = bytes(range(256)) * 4000
            sender = in_thread(channel.send, data)
            parts = []
            while not parts or parts[-1][0] & MORE:
                parts.append(far.frame())
            self.assertIsNone(sender.get())
            self.assertEqual(b"".join(payload for _, _, payload in parts), data)
            self.assertEqual({len(payload) for _, _, payload in parts[:-1]}, {16384})
            self.assertEqual({part[:2] for part in parts[:-1]}, {(DATA | MORE, number)})
            self.assertEqual(parts[-1][:2], (DATA, number))

    def test_fragments_are_at_most_half_the_first_window(self):
        with LocalWorker(max_frame=1 << 20) as far:
            number, channel = far.open()
            sender = in_thread(channel.send, bytes(100000))
            self.assertEqual(len(far.expect(DATA | MORE, number)), 32768)
            far.write(credit(number, 1 << 20))
            far.expect(DATA | MORE, number)
            far.expect(DATA | MORE, number)
            far.expect(DATA, number)
            self.assertIsNone(sender.get())

    def test_other_channels_pass_between_fragments(self):
        with LocalWorker(connection_window=1 << 24) as far:
            number, channel = far.open()
            other, second = far.open()
            sender = in_thread(channel.send, bytes(100000))
            for _ in range(3):
                far.expect(DATA | MORE, number)
            self.assertEqual(far.sync(), [])  # out of credit, inside the message
            second.send(1)
            self.assertEqual(far.item(other), 1)
            far.write(credit(number, 1 << 20))
            for _ in range(3):
                far.expect(DATA | MORE, number)
            far.expect(DATA, number)
            self.assertIsNone(sender.get())

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


class CreditGiven(unittest.TestCase):
    """What the far end gives back, and when."""

    def frames_of(self, far, number):
        return [int.from_bytes(payload, "big")
                for kind, found, payload in far.sync() if (kind, found) == (CREDIT, number)]

    def test_when_the_application_has_taken_half_a_window(self):
        with LocalWorker() as far:
            number, channel = far.open()
            quarter = WINDOW // 4
            for _ in range(4):
                far.write(frame(DATA, number, bytes(quarter - 8)))
            self.assertEqual(self.frames_of(far, number), [])
            channel.receive()
            self.assertEqual(self.frames_of(far, number), [])
            channel.receive()
            self.assertEqual(self.frames_of(far, number), [WINDOW // 2])

    def test_the_window_of_a_keen_reader_grows(self):
        with LocalWorker() as far:
            number, channel = far.open()
            given = 0
            for _ in range(1000):
                far.write(frame(DATA, number, bytes(32760)))
                channel.receive()
                given += sum(self.frames_of(far, number))
            window = WINDOW + given - 1000 * 32768
            self.assertGreater(window, 2 << 20)
            self.assertLessEqual(window, 4 << 20)

    def test_half_a_window_is_always_left_for_a_fragment(self):
        with LocalWorker() as far:
            number, channel = far.open()
            left = WINDOW
            for size in [1] * 5000 + [WINDOW // 2] * 3 + [100] * 3000 + [WINDOW // 2] * 3:
                self.assertGreaterEqual(left, size + 8)
                far.write(frame(DATA, number, bytes(size)))
                left -= size + 8
                channel.receive()
                left += sum(self.frames_of(far, number))

    def test_fragments_of_a_message_longer_than_the_window(self):
        with LocalWorker() as far:
            number, channel = far.open()
            left, sent = WINDOW, 0
            piece = bytes(WINDOW // 2)
            for _ in range(40):
                while left < len(piece) + 8:
                    left += int.from_bytes(far.expect(CREDIT, number), "big")
                far.write(frame(DATA | MORE, number, piece))
                left -= len(piece) + 8
            far.write(frame(DATA, number))
            self.assertEqual(len(channel.receive()), 40 * len(piece))

    def test_discarded_messages_return_to_the_connection(self):
        with LocalWorker() as far:
            account = far.connection.account
            total = 0
            while total < 3 * account.window:
                number, channel = far.open()
                channel.close()
                for _ in range(2):
                    far.write(frame(DATA | MORE, number, bytes(WINDOW // 2 - 8)))
                    total += WINDOW // 2
                far.write(frame(CLOSE, number))
                far.sync()
            self.assertEqual(far.connection.channels, {})
            self.assertGreaterEqual(account.granted, account.spent + account.window // 2)

    def test_dropped_messages_return_to_the_connection(self):
        with LocalWorker() as far:
            account = far.connection.account
            total = 0
            while total < 3 * account.window:
                number, channel = far.open()
                far.write(frame(DATA, number, bytes(WINDOW // 2 - 8)))
                far.write(frame(DATA, number, bytes(WINDOW // 2 - 8)), frame(CLOSE, number))
                total += WINDOW
                far.sync()
                del channel
                gc.collect()
            far.sync()
            self.assertEqual(far.connection.channels, {})
            self.assertEqual(account.settled, account.spent)

    def test_the_connection_never_stalls_behind_unread_channels(self):
        with LocalWorker() as far:
            account = far.connection.account
            unread = []
            while account.window - account.spent > WINDOW:
                unread.append(far.open())
                for _ in range(2):
                    far.write(frame(DATA, unread[-1][0], bytes(WINDOW // 2 - 8)))
                far.sync()
            # One window is left for the others: it has to circulate.
            number, channel = far.open()
            left, own = account.granted - account.spent, WINDOW
            for _ in range(2000):
                while left < 1008 or own < 1008:
                    kind, found, payload = far.frame()
                    self.assertEqual(kind, CREDIT)
                    amount = int.from_bytes(payload, "big")
                    if found == 0:
                        left += amount
                    else:
                        own += amount
                far.write(frame(DATA, number, bytes(1000)))
                left -= 1008
                own -= 1008
                channel.receive()
            for _, channel in unread:
                channel.receive()
                channel.receive()
            far.sync()
            self.assertGreater(account.granted - account.spent, account.window // 2)
            self.assertFalse(far.connection.tight)


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


class Callbacks(unittest.TestCase):
    def test_items_in_order_then_the_end_once(self):
        with LocalWorker() as far:
            number, channel = far.open()
            far.message(number, 0)
            seen, done = [], threading.Event()

            def callback(item):
                seen.append(item)
                if item is None:
                    done.set()

            channel.setcallback(callback, endmarker=None)
            self.assertRaises(OSError, channel.receive)
            self.assertRaises(OSError, channel.setcallback, callback)
            far.message(number, 1)
            far.write(frame(CLOSE, number, fault("Error", "")))
            self.assertTrue(done.wait(60))
            self.assertEqual(seen, [0, 1, None])

    def test_one_that_raises_closes_its_channel_with_the_error(self):
        with LocalWorker() as far:
            number, channel = far.open()
            other, second = far.open()
            channel.setcallback(lambda item: 1 // item)
            far.message(number, 1)
            far.message(number, 0)
            error = cbor.loads(far.expect(CLOSE, number))
            self.assertEqual(error["type"], "ZeroDivisionError")
            self.assertIn("1 // item", error["traceback"])
            second.send(1)
            self.assertEqual(far.item(other), 1)

    def test_the_end_comes_once_whatever_it_is(self):
        for last in (frame(EOF, 1), frame(CLOSE, 1), frame(CLOSE, 1, fault("Error", "")), None):
            with LocalWorker() as far:
                number, channel = far.open()
                seen = []
                channel.setcallback(seen.append, endmarker="end")
                far.message(number, 1)
                if last:
                    far.write(last, frame(CLOSE, number) if last == frame(EOF, 1) else b"")
                else:
                    far.hang_up()
                try:
                    channel.waitclose(60)
                except (RemoteError, OSError):
                    pass
                self.assertEqual(seen, [1, "end"])

    def test_set_behind_the_end(self):
        with LocalWorker() as far:
            number, channel = far.open()
            far.message(number, 1)
            far.write(frame(CLOSE, number))
            channel.waitclose(60)
            seen = []
            channel.setcallback(seen.append, endmarker="end")
            channel.waitclose(60)
            self.assertEqual(seen, [1, "end"])

    def test_a_local_close_ends_it_behind_what_has_come(self):
        with LocalWorker() as far:
            number, channel = far.open()
            far.message(number, 1)
            far.sync()
            channel.close()
            seen = []
            channel.setcallback(seen.append, endmarker=None)
            channel.waitclose(60)
            self.assertEqual(seen, [1, None])

    def test_waitclose_waits_for_the_callback_but_in_itself(self):
        with LocalWorker() as far:
            number, channel = far.open()
            inside, go, seen = threading.Event(), threading.Event(), []

            def callback(item):
                inside.set()
                go.wait(60)
                channel.waitclose(60)
                seen.append(item)

            channel.setcallback(callback)
            far.message(number, 1)
            far.write(frame(EOF, number))
            inside.wait(60)
            self.assertRaises(TimeoutError, channel.waitclose, 0.01)
            go.set()
            channel.waitclose(60)
            self.assertEqual(seen, [1])

    def test_a_slow_one_stops_no_other_channel(self):
        with LocalWorker() as far:
            number, channel = far.open()
            other, second = far.open()
            channel.setcallback(lambda item: channel.send(item + second.receive()))
            far.message(number, 1)
            far.sync()
            far.message(other, 41)
            self.assertEqual(far.item(number), 42)

    def test_an_end_callback_that_raises(self):
        for last, told in (EOF, True), (CLOSE, False):
            with LocalWorker() as far, contextlib.redirect_stderr(io.StringIO()) as printed:
                number, channel = far.open()
                other, second = far.open()
                seen = []

                def callback(item):
                    seen.append(item)
                    1 // item

                channel.setcallback(callback, endmarker=0)
                far.message(number, 1)
                far.write(frame(last, number))
                channel.waitclose(60)
                payload = far.expect(CLOSE, number)
                self.assertEqual(seen, [1, 0])
                # Behind the controller's own CLOSE it hears nothing more.
                self.assertEqual("ZeroDivisionError" in printed.getvalue(), not told)
                if told:
                    self.assertEqual(cbor.loads(payload)["type"], "ZeroDivisionError")
                second.send(1)
                self.assertEqual(far.item(other), 1)

    def test_keeps_its_channel_alive(self):
        with LocalWorker() as far:
            number, channel = far.open()
            items = []
            channel.setcallback(items.append, endmarker=None)
            del channel
            gc.collect()
            far.message(number, 1)
            self.assertEqual(far.sync(), [])


class Files(unittest.TestCase):
    def test_writing(self):
        with LocalWorker() as far:
            number, channel = far.open()
            file = channel.makefile("w")
            print("a", "b", file=file)
            file.flush()
            self.assertEqual([far.item(number) for _ in range(4)], ["a", " ", "b", "\n"])
            file.close()
            self.assertFalse(channel.isclosed())
            channel.makefile("w", proxyclose=True).close()
            self.assertTrue(channel.isclosed())

    def test_reading(self):
        for pieces, lines in [
            (["ab\ncd", "ef\n", "\ngh"], ["ab\n", "cdef\n", "\n", "gh"]),
            ([b"ab\ncd", b"ef\n", b"\ngh"], [b"ab\n", b"cdef\n", b"\n", b"gh"]),
            ([], []),
        ]:
            with LocalWorker() as far:
                for read in (lambda file: list(file),
                             lambda file: [file.readline() for _ in lines],
                             lambda file: [file.read(len(line)) for line in lines]):
                    number, channel = far.open()
                    for piece in pieces:
                        far.message(number, piece)
                    far.write(frame(EOF, number))
                    file = channel.makefile("r")
                    self.assertEqual(read(file), lines)
                    self.assertEqual(file.read(), lines[0][:0] if lines else "")
                number, channel = far.open()
                for piece in pieces:
                    far.message(number, piece)
                far.write(frame(EOF, number))
                whole = (pieces[0][:0] if pieces else "").join(pieces)
                file = channel.makefile("r")
                self.assertEqual(file.read(3), whole[:3])
                self.assertEqual(file.read(), whole[3:])

    def test_lines_of_a_long_item(self):
        with LocalWorker() as far:
            number, channel = far.open()
            far.message(number, "x\n" * 20000 + "y")
            far.message(number, "z\n\n")
            far.message(number, "")
            far.write(frame(EOF, number))
            file = channel.makefile("r")
            self.assertEqual(file.readline(), "x\n")
            self.assertEqual(file.readlines(), ["x\n"] * 19999 + ["yz\n", "\n"])
            self.assertEqual((file.read(), file.readline(), file.read(1)), ("", "", ""))

    def test_what_was_received_before_an_error_can_be_read(self):
        with LocalWorker() as far:
            for read in (lambda file: file.read()), (lambda file: file.readline()):
                number, channel = far.open()
                for piece in "ab", "cd":
                    far.message(number, piece)
                far.write(frame(CLOSE, number, fault("ValueError", "bad")))
                file = channel.makefile("r")
                self.assertRaises(RemoteError, read, file)
                self.assertEqual(file.read(3), "abc")
                self.assertEqual(file.read(1), "d")
                self.assertRaises(RemoteError, file.read, 1)

    def test_text_and_bytes_do_not_mix_and_others_are_refused(self):
        with LocalWorker() as far:
            for first, second in ("a", b"b"), (b"a", "b"), ("a", 3), (3, 3):
                number, channel = far.open()
                far.message(number, first)
                far.message(number, second)
                file = channel.makefile("r")
                self.assertRaisesRegex(TypeError, "text or bytes are read", file.read, 2)
                channel.close()

    def test_closing(self):
        with LocalWorker() as far:
            number, channel = far.open()
            for mode in "r", "w":
                with channel.makefile(mode) as file:
                    self.assertFalse(file.closed)
                self.assertTrue(file.closed)
                self.assertFalse(channel.isclosed())
                self.assertRaises(ValueError, *(file.read, 1) if mode == "r" else (file.write, "x"))
            with channel.makefile("r", proxyclose=True):
                pass
            self.assertTrue(channel.isclosed())

    def test_modes(self):
        with LocalWorker() as far:
            self.assertRaises(ValueError, far.open()[1].makefile, "rw")


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
