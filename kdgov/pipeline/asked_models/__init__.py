"""The models of a release: who is asked, how, and what asking endpoints will take."""
