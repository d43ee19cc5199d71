"""Steps on the licence facts themselves: releases of them, signed and taken over."""
