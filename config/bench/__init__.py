"""How fast the product is, against the usual way of building it. ``make bench`` runs this.

Every figure comes from real HTTP against the sandbox in its own process, on one machine and in
one run; quote ratios, because machines differ.
"""
