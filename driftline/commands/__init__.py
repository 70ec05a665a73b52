"""What the commands do, without the command line: `driftline.cli` reads the words and prints the results."""
