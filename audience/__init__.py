"""Campaigns' people and everybody's choices: contacts with their consent, lists and filters, types of mail (topics).

`choices` says what a person wants, `confirmations` asks, `importing` brings lists in, `filters` picks people out.
"""
