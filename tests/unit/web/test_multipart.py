"""Where fields stand in a body of several parts, in memory and on the disk alike."""

import mmap
import tempfile

from web.multipart import Part, places, read_multipart

KIND = "multipart/form-data; boundary=b0"
FILE = b"a,b\r\n--b\r\n--b0x\r\n" + bytes(range(256))
BODY = (
    b'--b0\r\nContent-Disposition: form-data; name="key"\r\n\r\nabc\r\n'
    b'--b0\r\nContent-Disposition: form-data; name="file"; filename="p.csv"\r\nContent-Type: text/csv\r\n\r\n'
    + FILE.replace(b"--b0x", b"--b1x")
    + b"\r\n--b0--\r\n"
)


def test_a_file_comes_byte_for_byte() -> None:
    found = read_multipart(KIND, BODY)

    assert found == {"key": Part(b"abc"), "file": Part(FILE.replace(b"--b0x", b"--b1x"), "p.csv")}


def test_what_is_on_the_disk_is_found_at_the_same_places() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(BODY)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert places(KIND, mapped) == places(KIND, BODY)
    assert [name for name, _ in places(KIND, BODY)] == ["key", "file"]


def test_what_stands_in_front_or_is_torn_off_changes_no_field() -> None:
    assert read_multipart(KIND, b"preamble\r\n" + BODY)["key"] == Part(b"abc")
    assert read_multipart(KIND, BODY.partition(b"abc")[0] + b"ab") == {"key": Part(b"ab")}
    for body in (b"", b"--b0", b"--b0--\r\n", b"x" * 5000, b"--b0\r\n" + b"y" * 9000 + b"\r\n\r\nz"):
        assert read_multipart(KIND, body) == {}
    assert read_multipart("text/plain", BODY) == {}
