"""Conserved quantities of learning: what no loss can change.

polynomials   polynomials in the overlaps, and their rates of change under the Gram flow
null_space    the rational null space of an integer matrix
coupling      which columns of P learning moves along which
orbits        how many independent conserved quantities there can be
invariant     a conserved quantity and its proof
lax_pair      conserved quantities in closed form
search        all conserved polynomials up to a degree
"""
