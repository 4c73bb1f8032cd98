"""Statistics read off finished runs: no run depends on them, none is made anew for them."""
