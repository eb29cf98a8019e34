"""`make bench`: Postlane's figures, each measured beside what it is compared with, on this machine and in one run.

`python -m bench --help` says how to run it. `cases` has one function a figure and is the file to read first; `world`
holds the servers, databases and processes that they use. Nothing else of Postlane imports this folder.
"""
