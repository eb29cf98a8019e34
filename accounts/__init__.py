"""Who sends: applications, their API keys, their sender domains with DKIM keys and DNS records."""
