"""One JSON face per noun, the same in the API's answers and in `--json` of the command line."""
