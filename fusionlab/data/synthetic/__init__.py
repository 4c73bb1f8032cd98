"""A catalogue whose right answer is known: which modality knows what, in bits.

The code of an item is made of *atoms* (`atoms`), written into the features of its modalities
(`lift`); users click by their tastes for the atoms (`generate`). What any coalition of modalities
can know, and what the best possible recommender would do with it, is exact (`truth`).
"""

from fusionlab.data.synthetic.atoms import Atom, AtomOptions
from fusionlab.data.synthetic.truth import Truth

__all__ = ["Atom", "AtomOptions", "Truth"]
