"""What everything else stands on: settings, clock, errors, addresses, queue names, logs, metrics. Knows no mail."""
