"""Channels as files, on a connection in this process with a scripted controller."""

import unittest

from execnet_worker.channel import RemoteError
from execnet_worker.frame import CLOSE, EOF, fault, frame

from .link import LocalWorker


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


if __name__ == "__main__":
    unittest.main()
