"""The wire: compose, sign, resolve, talk SMTP, understand replies. No database, no Celery."""
