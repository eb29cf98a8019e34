"""The web console: an application of its own, a folder per noun with its templates. Never imports api or pages."""
