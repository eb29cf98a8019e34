"""What one message has cost: differences of counts, without what happens anyway."""

from bench.spent import Spent, bytes_of, loopback, rows_of


def test_what_happens_anyway_is_no_cost_of_a_message() -> None:
    before = Spent({"wal_bytes": 1000.0, "emails.inserted": 5.0, "emails.table_bytes": 8192.0})
    after = Spent({
        "wal_bytes": 9000.0, "emails.inserted": 15.0, "emails.updated": 20.0, "emails.deleted": 0.0,
        "emails.table_bytes": 24576.0, "valkey get": 30.0,
    })  # fmt: skip
    idle = Spent({"wal_bytes": 500.0, "valkey get": 10.0, "emails.table_bytes": 8192.0})
    each = after.since(before).each(10, idle, 3.0)
    assert each == {
        "wal_bytes": 650.0,
        "emails.inserted": 1.0,
        "emails.updated": 2.0,
        "emails.table_bytes": 1638.4,
    }
    assert rows_of(each) == 3.0
    assert bytes_of(each) == 1638.4


def test_bytes_of_the_loopback_are_read_from_linux() -> None:
    table = """Inter-|   Receive
 face |bytes    packets errs
    lo: 1234567    8901    0    0    0     0          0         0  1234567    8901
  eth0: 99 1 0
"""
    assert loopback(table) == 1_234_567
    assert loopback("") == 0
