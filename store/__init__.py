"""PostgreSQL: connections, migrations, partitions. The one place that knows how to reach the database."""
