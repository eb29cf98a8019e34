"""What is looked at before a campaign begins: its words, its links, its domain, its people, and when it will be out.

`checks` puts together what the others find. Nothing here changes a campaign.
"""
