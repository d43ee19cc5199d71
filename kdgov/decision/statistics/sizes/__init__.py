"""How many items a criterion needs: for a planned comparison, and for one that was not decided."""
