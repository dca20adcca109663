"""Callbacks, on a connection in this process with a scripted controller."""

import contextlib
import gc
import io
import threading
import unittest

from execnet_worker import cbor
from execnet_worker.channel import RemoteError, TimeoutError
from execnet_worker.frame import CLOSE, EOF, fault, frame

from .link import LocalWorker


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


if __name__ == "__main__":
    unittest.main()
