"""Lists of contacts that are brought in: what a file says (`rows`), what becomes of it (`merging`), a slice at a time
(`slices`), and how far each import is (`imports`).
"""
