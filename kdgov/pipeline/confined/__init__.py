"""Where suites that somebody else wrote are asked: a process without keys, whose view of the disk leaves them out."""
