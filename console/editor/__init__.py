"""The editor of templates and of what campaigns say: blocks, preview, a form for the chosen block; code; settings.

It changes drafts through `templates/service` and nothing else; `templates/document` is what a click does to a document.
"""
