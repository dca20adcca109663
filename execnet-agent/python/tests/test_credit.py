"""Credit, and the fragments that long messages become for it."""

import gc
import unittest

from execnet_worker.frame import CLOSE, CREDIT, DATA, LIMITS, MORE, frame

from .link import LocalWorker, credit, in_thread

WINDOW = LIMITS["channel_window"]


class CreditTaken(unittest.TestCase):
    """What the far end sends with what the controller gave."""

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


if __name__ == "__main__":
    unittest.main()
