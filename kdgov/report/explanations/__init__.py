"""What a finding, a criterion, a method of the gate or a word means: the texts behind ``kdgov explain`` and the glossaries."""
