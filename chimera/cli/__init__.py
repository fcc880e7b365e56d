"""The command line: it translates and delegates. Heavy imports stay inside commands, so that --help is quick."""
