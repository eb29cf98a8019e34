"""What `postlane doctor` looks at, beside what stands in its own file."""
